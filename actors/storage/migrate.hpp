// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/storage/sql.hpp"

#include <span>
#include <string_view>

namespace marchproxy::storage {

/// A file of migrations/, embedded when the room is built.
struct migration {
  int number = 0;        ///< 1, 2, 3 without a gap
  std::string_view name; ///< `initial`
  std::string_view script;
};

/// Those of this binary, ascending.
[[nodiscard]] std::span<const migration> migrations(dialect kind) noexcept;

/// Brings the database to the newest of @p known, all in one transaction and under a lock: of
/// several managers that start at once one migrates and the others find it done. Never goes back.
/// @return how many were applied
/// @errors unsupported if the database is newer than @p known; corrupt if an applied migration is
/// not the one of that
///         number here; those of connection
[[nodiscard]] result<int> migrate(connection& database, std::span<const migration> known);

} // namespace marchproxy::storage
