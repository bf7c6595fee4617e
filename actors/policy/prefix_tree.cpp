// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/prefix_tree.hpp"

#include "actors/base/error.hpp"

#include <algorithm>

namespace marchproxy::policy {

namespace {

radix_key first_key(const ip_prefix& prefix) noexcept {
  radix_key key = 0;
  auto width = prefix.base.width() / 8;
  for (unsigned i = 0; i < width; ++i)
    key = (key << 8) | prefix.base.bytes[i];
  return key;
}

radix_key next_key(const ip_prefix& prefix) noexcept {
  auto free_bits = prefix.base.width() - prefix.length;
  return free_bits == 128 ? 0 : first_key(prefix) + (radix_key{1} << free_bits);
}

} // namespace

prefix_tree::prefix_tree(std::vector<ip_prefix> prefixes) : prefixes_(std::move(prefixes)) {
  // By family, address, then length: an ancestor precedes what it contains.
  std::sort(prefixes_.begin(), prefixes_.end());
  prefixes_.erase(std::unique(prefixes_.begin(), prefixes_.end()), prefixes_.end());
  parent_.assign(prefixes_.size() + 1, 0);
  last_.assign(prefixes_.size() + 1, 0);
  std::vector<std::uint32_t> open{0};
  for (std::uint32_t node = 1; node < parent_.size(); ++node) {
    while (open.back() != 0 && !prefix_of(open.back()).contains(prefix_of(node))) {
      last_[open.back()] = node - 1;
      open.pop_back();
    }
    parent_[node] = open.back();
    open.push_back(node);
  }
  for (auto node : open)
    last_[node] = static_cast<std::uint32_t>(parent_.size() - 1);
}

std::uint32_t prefix_tree::node_of(const ip_prefix& prefix) const noexcept {
  auto found = std::lower_bound(prefixes_.begin(), prefixes_.end(), prefix);
  MP_INVARIANT(found != prefixes_.end() && *found == prefix);
  return static_cast<std::uint32_t>(found - prefixes_.begin() + 1);
}

void add_piece(std::vector<radix_piece>& pieces, radix_piece piece) {
  if (!pieces.empty() && pieces.back().start == piece.start)
    pieces.pop_back();
  if (pieces.empty() || pieces.back().value != piece.value)
    pieces.push_back(piece);
}

std::vector<radix_piece> prefix_tree::pieces(ip_family family,
                                             std::span<const std::uint32_t> values) const {
  std::vector<radix_piece> out;
  add_piece(out, {0, values[0]});
  std::vector<std::uint32_t> open{0};
  auto close = [&] {
    auto node = open.back();
    open.pop_back();
    auto end = next_key(prefix_of(node));
    auto beyond_last = family == ip_family::v4 ? end == (radix_key{1} << 32) : end == 0;
    if (!beyond_last)
      add_piece(out, {end, values[open.back()]});
  };
  for (std::uint32_t node = 1; node < size(); ++node) {
    if (prefix_of(node).base.family != family)
      continue;
    while (open.back() != 0 && !prefix_of(open.back()).contains(prefix_of(node)))
      close();
    add_piece(out, {first_key(prefix_of(node)), values[node]});
    open.push_back(node);
  }
  while (open.back() != 0)
    close();
  return out;
}

} // namespace marchproxy::policy
