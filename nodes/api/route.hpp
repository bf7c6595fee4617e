// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/api/access.hpp"
#include "nodes/api/call.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace marchproxy::api {

/// What kind of operation a route is; decides its query parameters and headers.
enum class shape : std::uint8_t {
  read,   ///< one thing
  list,   ///< `limit`, `cursor` and the filters
  ledger, ///< `limit`, `after`, `ledger`
  action, ///< does something that makes no revision
  create, ///< `wait`, Idempotency-Key
  modify, ///< `wait`, If-Match
};

/// One operation of the API. Routing, the checks before a handler, and the OpenAPI document all
/// come from this.
// The order of the members is the one in which a row of the table reads.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct route {
  std::string_view method;
  std::string_view path; ///< segments in braces are parameters
  std::string_view operation;
  std::string_view summary;
  api::shape shape = api::shape::read;
  permission needs = permission::none;
  handler run = nullptr;
  std::string_view takes = {};   ///< schema of the body; empty: no body
  std::string_view returns = {}; ///< schema of data, of one item for lists; empty: null
  std::uint16_t status = 200;
  bool reads_only = false; ///< a POST that changes nothing
  bool body_optional = false;
  bool bare = false; ///< answers without the envelope
  std::string_view media = "application/json";
  std::array<std::string_view, 4> filters = {};
};

// The table, by subject.
[[nodiscard]] std::span<const route> cluster_routes();
[[nodiscard]] std::span<const route> service_routes();
[[nodiscard]] std::span<const route> mapping_routes();
[[nodiscard]] std::span<const route> ingress_routes();
[[nodiscard]] std::span<const route> operation_routes();
[[nodiscard]] std::span<const route> identity_routes();
[[nodiscard]] std::span<const route> proxy_contract_routes();
[[nodiscard]] std::span<const route> system_routes();
/// All of them.
[[nodiscard]] const std::vector<route>& routes();

using path_parameters = std::vector<std::pair<std::string_view, std::string>>;

/// The route that a method and a path mean. HEAD means GET.
struct route_match {
  const route* found = nullptr; ///< none: see allowed
  path_parameters parameters;
  std::vector<std::string_view>
    allowed; ///< methods that the path has; empty: there is no such path
};
[[nodiscard]] route_match match(std::string_view method, std::string_view path);

/// Names in braces, in order.
[[nodiscard]] std::vector<std::string_view> parameter_names(std::string_view path);

} // namespace marchproxy::api
