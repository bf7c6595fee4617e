// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/list_rows.hpp"

#include <algorithm>

#include "actors/base/error.hpp"
#include "actors/policy/prefix_tree.hpp"

namespace marchproxy::policy {

namespace {

std::uint32_t low(const mp_atom& a) noexcept { return a.src_low & MP_CLASS_MASK; }
std::uint32_t high(const mp_atom& a) noexcept { return a.src_high & MP_CLASS_MASK; }

/// True when every flow that matches @p later matches @p earlier too, which has the better rank.
bool shadows(const mp_atom& earlier, const mp_atom& later) noexcept {
  auto covers_bits = [](std::uint32_t a, std::uint32_t b) { return ((a >> 24) & (b >> 24)) == (b >> 24); };
  return low(earlier) <= low(later) && high(earlier) >= high(later)
         && covers_bits(earlier.src_low, later.src_low) && covers_bits(earlier.src_high, later.src_high)
         && earlier.port_low <= later.port_low && earlier.port_high >= later.port_high;
}

bool by_rank(const mp_atom& a, const mp_atom& b) noexcept { return a.rank < b.rank; }

} // namespace

list_row row_builder::add(std::span<const mp_atom> own, const list_row& around) {
  if (own.empty())
    return around;
  if (own.size() <= MP_LIST_ATOMS)
    return short_row(own, around);
  return indexed(own, around);
}

list_row row_builder::short_row(std::span<const mp_atom> own, const list_row& around) {
  if (around.whole && own.size() + around.flat_count <= merge_limit)
    return merged(own, around);
  return chained(own, around);
}

list_row row_builder::merged(std::span<const mp_atom> own, const list_row& around) {
  std::vector<mp_atom> all(own.begin(), own.end());
  all.insert(all.end(), flat_.begin() + around.flat_begin,
             flat_.begin() + around.flat_begin + around.flat_count);
  std::inplace_merge(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(own.size()), all.end(),
                     by_rank);
  list_row out;
  out.flat_begin = static_cast<std::uint32_t>(flat_.size());
  for (const auto& atom : all) {
    auto kept = std::span{flat_}.subspan(out.flat_begin);
    if (std::none_of(kept.begin(), kept.end(), [&](const mp_atom& k) { return shadows(k, atom); }))
      flat_.push_back(atom);
  }
  out.flat_count = static_cast<std::uint32_t>(flat_.size()) - out.flat_begin;
  auto atoms = std::span{flat_}.subspan(out.flat_begin);
  out.ref = image_.add_list({0, MP_NO_RANK, 0, out.flat_count}, atoms);
  out.best = atoms.front().rank;
  out.visits = 1;
  return out;
}

list_row row_builder::chained(std::span<const mp_atom> own, const list_row& around) {
  list_row out = around;
  out.whole = false;
  // From the back, so that each list knows the one that follows it.
  auto rest = own.size();
  while (rest > 0) {
    auto count = rest % MP_LIST_ATOMS == 0 ? MP_LIST_ATOMS : rest % MP_LIST_ATOMS;
    auto atoms = own.subspan(rest - count, count);
    out.ref = image_.add_list({out.ref, out.best, 0, static_cast<mp_u32>(count)}, atoms);
    out.best = std::min(out.best, atoms.front().rank);
    ++out.visits;
    rest -= count;
  }
  return out;
}

list_row row_builder::indexed(std::span<const mp_atom> own, const list_row& around) {
  // Source intervals nest: ascending start, then descending end, is their preorder.
  auto preorder = [](const mp_atom& a, const mp_atom& b) {
    return low(a) != low(b) ? low(a) < low(b) : high(a) > high(b);
  };
  std::vector<mp_atom> atoms(own.begin(), own.end());
  std::stable_sort(atoms.begin(), atoms.end(), preorder);

  struct level {
    std::uint32_t last;
    list_row row;
  };
  std::vector<level> open{{MP_CLASS_MASK, list_row{}}};
  std::vector<radix_piece> pieces;
  add_piece(pieces, {0, 0});
  std::uint32_t visits = 0;
  auto close = [&] {
    auto end = radix_key{open.back().last} + 1;
    open.pop_back();
    add_piece(pieces, {end, open.back().row.ref});
  };
  for (std::size_t i = 0; i < atoms.size();) {
    auto j = i + 1;
    while (j < atoms.size() && low(atoms[j]) == low(atoms[i]) && high(atoms[j]) == high(atoms[i]))
      ++j;
    while (open.size() > 1 && open.back().last < low(atoms[i]))
      close();
    auto row = short_row(std::span{atoms}.subspan(i, j - i), open.back().row);
    add_piece(pieces, {low(atoms[i]), row.ref});
    visits = std::max(visits, row.visits);
    open.push_back({high(atoms[i]), row});
    i = j;
  }
  while (open.size() > 1)
    close();

  list_row out;
  out.whole = false;
  out.best = std::min(around.best, std::min_element(own.begin(), own.end(), by_rank)->rank);
  out.visits = 1 + visits + around.visits;
  auto index = image_.add_index(pieces);
  MP_INVARIANT((index & MP_ENTRY_NODE) != 0); // no interval reaches the end of the class space
  out.ref = image_.add_list({around.ref, around.best, index, 0}, {});
  return out;
}

} // namespace marchproxy::policy
