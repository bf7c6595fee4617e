// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/list_rows.hpp"

#include "actors/base/error.hpp"
#include "actors/policy/prefix_tree.hpp"

#include <algorithm>

namespace marchproxy::policy {

namespace {

std::uint32_t low(const mp_atom& a) noexcept {
  return a.src_low & MP_CLASS_MASK;
}
std::uint32_t high(const mp_atom& a) noexcept {
  return a.src_high & MP_CLASS_MASK;
}

/// True when every flow that matches @p later matches @p earlier too, which has the better rank.
bool shadows(const mp_atom& earlier, const mp_atom& later) noexcept {
  auto covers_bits = [](std::uint32_t a, std::uint32_t b) {
    return ((a >> 24) & (b >> 24)) == (b >> 24);
  };
  return low(earlier) <= low(later) && high(earlier) >= high(later)
         && covers_bits(earlier.src_low, later.src_low)
         && covers_bits(earlier.src_high, later.src_high) && earlier.port_low <= later.port_low
         && earlier.port_high >= later.port_high;
}

/// Leaves of the atom's sources those inside. Sources nest, so an atom that reaches beyond covers
/// all.
void clip(mp_atom& a, row_builder::interval within) noexcept {
  a.src_low = std::max(low(a), within.first) | (a.src_low & ~MP_CLASS_MASK);
  a.src_high = std::min(high(a), within.last) | (a.src_high & ~MP_CLASS_MASK);
}

bool by_rank(const mp_atom& a, const mp_atom& b) noexcept {
  return a.rank < b.rank;
}

} // namespace

list_row row_builder::add(std::span<const mp_atom> own, const list_row& around) {
  if (own.empty())
    return around;
  if (own.size() > MP_LIST_ATOMS)
    return indexed(own, around);
  auto fits = merged(own, around, {0, MP_CLASS_MASK});
  return fits ? *fits : chained(own, around);
}

std::optional<list_row>
row_builder::merged(std::span<const mp_atom> own, const list_row& around, interval within) {
  if (own.size() > comparable)
    return {};
  std::vector<mp_atom> all(own.begin(), own.end());
  all.insert(all.end(), flat_.begin() + around.flat_begin,
             flat_.begin() + around.flat_begin + around.flat_count);
  std::inplace_merge(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(own.size()), all.end(),
                     by_rank);
  auto begin = flat_.size();
  for (auto atom : all) {
    clip(atom, within);
    auto kept = std::span{flat_}.subspan(begin);
    if (std::none_of(kept.begin(), kept.end(), [&](const mp_atom& k) { return shadows(k, atom); }))
      flat_.push_back(atom);
  }
  if (flat_.size() - begin <= MP_LIST_ATOMS)
    return close_row(begin, around.rest);
  flat_.resize(begin);
  return {};
}

list_row row_builder::chained(std::span<const mp_atom> own, const list_row& around) {
  auto rest = around.whole;
  // From the back, so that each list knows the one that follows it.
  while (own.size() > MP_LIST_ATOMS) {
    auto count = own.size() % MP_LIST_ATOMS == 0 ? MP_LIST_ATOMS : own.size() % MP_LIST_ATOMS;
    auto atoms = own.last(count);
    rest = {image_.add_list({rest.ref, rest.best, 0, static_cast<mp_u32>(count)}, atoms, rules_),
            std::min(rest.best, atoms.front().rank), rest.visits + 1, 0};
    own = own.first(own.size() - count);
  }
  auto begin = flat_.size();
  flat_.insert(flat_.end(), own.begin(), own.end());
  return close_row(begin, rest);
}

list_row row_builder::close_row(std::size_t flat_begin, const list_row::tail& rest) {
  auto atoms = std::span{flat_}.subspan(flat_begin);
  list_row out;
  out.flat_begin = static_cast<std::uint32_t>(flat_begin);
  out.flat_count = static_cast<std::uint32_t>(atoms.size());
  out.rest = rest;
  out.whole = {image_.add_list({rest.ref, rest.best, 0, out.flat_count}, atoms, rules_),
               std::min(rest.best, atoms.front().rank), rest.visits + 1, 0};
  return out;
}

/// Adds to @p atoms what lies around and is not much more. @return what follows it
list_row::tail row_builder::absorb(std::vector<mp_atom>& atoms, const list_row& around) const {
  atoms.insert(atoms.end(), flat_.begin() + around.flat_begin,
               flat_.begin() + around.flat_begin + around.flat_count);
  auto rest = around.rest;
  while (rest.index != 0 && indexes_[rest.index - 1].atoms.size() <= absorb_factor * atoms.size()) {
    const auto& outer = indexes_[rest.index - 1];
    atoms.insert(atoms.end(), outer.atoms.begin(), outer.atoms.end());
    rest = outer.rest;
  }
  std::stable_sort(atoms.begin(), atoms.end(), by_rank);
  return rest;
}

list_row row_builder::indexed(std::span<const mp_atom> own, const list_row& around) {
  index made{{own.begin(), own.end()}, {}};
  made.rest = absorb(made.atoms, around);
  auto best = std::min(made.rest.best, made.atoms.front().rank);

  // Source intervals nest: ascending start, then descending end, is their preorder.
  auto preorder = [](const mp_atom& a, const mp_atom& b) {
    return low(a) != low(b) ? low(a) < low(b) : high(a) > high(b);
  };
  auto atoms = made.atoms;
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
    add_piece(pieces, {end, open.back().row.whole.ref});
  };
  for (std::size_t i = 0; i < atoms.size();) {
    auto j = i + 1;
    while (j < atoms.size() && low(atoms[j]) == low(atoms[i]) && high(atoms[j]) == high(atoms[i]))
      ++j;
    while (open.size() > 1 && open.back().last < low(atoms[i]))
      close();
    // Whoever looks here has a source inside: what the innermost takes is hidden from those around.
    auto here = std::span{atoms}.subspan(i, j - i);
    auto fits = merged(here, open.back().row, {low(atoms[i]), high(atoms[i])});
    auto row = fits ? *fits : chained(here, open.back().row);
    add_piece(pieces, {low(atoms[i]), row.whole.ref});
    visits = std::max(visits, row.whole.visits);
    open.push_back({high(atoms[i]), row});
    i = j;
  }
  while (open.size() > 1)
    close();

  auto entry = image_.add_index(pieces);
  MP_INVARIANT((entry & MP_ENTRY_NODE) != 0); // no interval reaches the end of the class space
  list_row out;
  out.whole = {image_.add_list({made.rest.ref, made.rest.best, entry, 0}, {}, rules_), best,
               1 + visits + made.rest.visits, static_cast<std::uint32_t>(indexes_.size() + 1)};
  out.rest = out.whole;
  indexes_.push_back(std::move(made));
  return out;
}

} // namespace marchproxy::policy
