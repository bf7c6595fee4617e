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

} // namespace

prefix_tree::span_of_keys::span_of_keys(const ip_prefix& prefix) noexcept
  : family(prefix.base.family),
    first(first_key(prefix)),
    length(prefix.length),
    width(static_cast<std::uint8_t>(prefix.base.width())) {}

bool prefix_tree::span_of_keys::contains(const span_of_keys& inner) const noexcept {
  return family == inner.family && length <= inner.length
         && (length == 0 || ((first ^ inner.first) >> (width - length)) == 0);
}

radix_key prefix_tree::span_of_keys::beyond() const noexcept {
  return length == 0 && width == 128 ? 0 : first + (radix_key{1} << (width - length));
}

prefix_tree::prefix_tree(const std::vector<ip_prefix>& prefixes)
  : spans_(prefixes.begin(), prefixes.end()) {
  // By family, address, then length: an ancestor precedes what it contains.
  std::sort(spans_.begin(), spans_.end());
  spans_.erase(std::unique(spans_.begin(), spans_.end()), spans_.end());
  parent_.assign(spans_.size() + 1, 0);
  last_.assign(spans_.size() + 1, 0);
  std::vector<std::uint32_t> open{0};
  for (std::uint32_t node = 1; node < parent_.size(); ++node) {
    while (open.back() != 0 && !span_of(open.back()).contains(span_of(node))) {
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
  span_of_keys wanted{prefix};
  auto found = std::lower_bound(spans_.begin(), spans_.end(), wanted);
  MP_INVARIANT(found != spans_.end() && *found == wanted);
  return static_cast<std::uint32_t>(found - spans_.begin() + 1);
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
    auto end = span_of(node).beyond();
    auto beyond_last = family == ip_family::v4 ? end == (radix_key{1} << 32) : end == 0;
    if (!beyond_last)
      add_piece(out, {end, values[open.back()]});
  };
  for (std::uint32_t node = 1; node < size(); ++node) {
    if (span_of(node).family != family)
      continue;
    while (open.back() != 0 && !span_of(open.back()).contains(span_of(node)))
      close();
    add_piece(out, {span_of(node).first, values[node]});
    open.push_back(node);
  }
  while (open.back() != 0)
    close();
  return out;
}

} // namespace marchproxy::policy
