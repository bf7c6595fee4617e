// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/image_builder.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace marchproxy::policy {

/// The lists that start at one destination: its own atoms, then those of the destinations around
/// it. The first list's atoms are kept, so that rows further in can take them over.
struct list_row {
  struct tail {
    std::uint32_t ref = 0;           ///< list, 0 = none
    std::uint32_t best = MP_NO_RANK; ///< smallest rank in it and beyond
    std::uint32_t visits = 0;        ///< lists that a lookup may visit from it on
    std::uint32_t index = 0;         ///< 1 + number of the index that the list is, 0 = it is none
  };
  tail whole; ///< from the first list on
  std::uint32_t flat_begin =
    0; ///< the first list's atoms in the builder's store; none when it is an index
  std::uint32_t flat_count = 0;
  tail rest; ///< what follows those atoms
};

/// Turns atoms into lists. Rows are built outermost first. A row takes over the atoms of the first
/// list around it while both fit into one, less those that it hides, and points past them; more
/// than MP_LIST_ATOMS atoms of one destination are indexed by source class, and an index takes over
/// the one around it unless that is absorb_factor times larger. So a chain has few lists, each hop
/// leading to a much larger one, and memory stays in proportion to the rules.
class row_builder {
public:
  /// @param rules  by rank; complete before the first row
  row_builder(image_builder& image, const std::vector<mp_rule>& rules)
    : image_(image), rules_(rules) {}

  /// @param own     atoms in ascending rank
  /// @param around  the row of the next wider destination
  [[nodiscard]] list_row add(std::span<const mp_atom> own, const list_row& around);

  /// Source classes, both ends included.
  struct interval {
    std::uint32_t first;
    std::uint32_t last;
  };
  static constexpr std::size_t absorb_factor = 16;
  /// Atoms of one destination, and one source where they are indexed, that are compared with each
  /// other.
  static constexpr std::size_t comparable = 64;

private:
  [[nodiscard]] list_row chained(std::span<const mp_atom> own, const list_row& around);
  [[nodiscard]] list_row indexed(std::span<const mp_atom> own, const list_row& around);
  [[nodiscard]] list_row close_row(std::size_t flat_begin, const list_row::tail& rest);
  /// @param within  the sources that the row is for
  /// @return none when that does not fit into one list
  [[nodiscard]] std::optional<list_row>
  merged(std::span<const mp_atom> own, const list_row& around, interval within);

  struct index {
    std::vector<mp_atom> atoms; ///< in ascending rank
    list_row::tail rest;
  };

  [[nodiscard]] list_row::tail absorb(std::vector<mp_atom>& atoms, const list_row& around) const;

  image_builder& image_;
  const std::vector<mp_rule>& rules_;
  std::vector<index> indexes_;
  std::vector<mp_atom> flat_;
};

} // namespace marchproxy::policy
