// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "actors/policy/image_builder.hpp"

namespace marchproxy::policy {

/// The lists that start at one destination: its own atoms, then those of the destinations around it.
struct list_row {
  std::uint32_t ref = 0;            ///< first list, 0 = no atoms at all
  std::uint32_t best = MP_NO_RANK;  ///< smallest rank in the row
  std::uint32_t visits = 0;         ///< lists that a lookup may visit at most
  std::uint32_t flat_begin = 0;     ///< the row as one list's atoms, kept to merge into the rows below ...
  std::uint32_t flat_count = 0;     ///< ... when whole
  bool whole = true;                ///< the row is one list (or none)
};

/// Turns atoms into lists. Rows are built outermost first; a row of few atoms is merged with the row around it, so that
/// a lookup reads one list, and longer ones are chained or indexed by source class, so that nothing is multiplied.
class row_builder {
public:
  explicit row_builder(image_builder& image) : image_(image) {}

  /// @param own     atoms in ascending rank
  /// @param around  the row of the next wider destination
  [[nodiscard]] list_row add(std::span<const mp_atom> own, const list_row& around);

  /// Atoms a merged list may have: MP_LIST_ATOMS at most.
  static constexpr std::uint32_t merge_limit = 12;

private:
  [[nodiscard]] list_row merged(std::span<const mp_atom> own, const list_row& around);
  [[nodiscard]] list_row chained(std::span<const mp_atom> own, const list_row& around);
  [[nodiscard]] list_row indexed(std::span<const mp_atom> own, const list_row& around);
  [[nodiscard]] list_row short_row(std::span<const mp_atom> own, const list_row& around);

  image_builder& image_;
  std::vector<mp_atom> flat_;
};

} // namespace marchproxy::policy
