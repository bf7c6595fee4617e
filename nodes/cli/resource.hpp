// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/cli/api_client.hpp"
#include "nodes/cli/arguments.hpp"

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace marchproxy::cli {

/// What `ctl` can do with one kind of resource.
struct verb {
  std::string_view name;
  std::string_view method;
  std::string_view
    path; ///< `{cluster}` and `{service}` from the options, `{id}` from the third word
  bool takes_body = false; ///< of --set and -f
  bool list = false;       ///< all pages are fetched
};

struct resource {
  std::string_view name;
  std::array<std::string_view, 9> columns; ///< of the table; empty ones do not count
  std::array<verb, 7> verbs;               ///< those without a name do not count
};

[[nodiscard]] std::span<const resource> resources();

/// The request that `ctl <resource> <verb> [id]` means.
struct planned {
  const resource* what = nullptr;
  const verb* how = nullptr;
  api_request request;
};
/// @param file  text of the file that -f names; empty: none
/// @errors invalid_argument, with what is to be said to the user
[[nodiscard]] result<planned> plan(const arguments& given, const std::string& file);

} // namespace marchproxy::cli
