// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/storage/sql.hpp"

#include <memory>
#include <string>

/// The two databases behind connect().
namespace marchproxy::storage {

/// @param path  a file, made with mode 0600 if there is none, or `:memory:`
[[nodiscard]] result<std::unique_ptr<connection>> connect_sqlite(const std::string& path);
/// @param uri  as libpq takes it
[[nodiscard]] result<std::unique_ptr<connection>> connect_postgres(const std::string& uri);

} // namespace marchproxy::storage
