// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/api/call.hpp"
#include "nodes/api/route.hpp"

#include <string>
#include <string_view>

namespace marchproxy::api {

/// Query parameters and headers that the route's shape knows, into the call. Collects every bad
/// one.
/// @errors invalid_argument; unknown parameters too, except on the contract of the earlier proxies
[[nodiscard]] result<void> read_parameters(const route& which, call& c);

/// The body as JSON, into the call. @errors invalid_argument; unsupported: not `application/json`
[[nodiscard]] result<void> read_body(const route& which, call& c);

/// The key of `X-API-Key`, `Authorization: Bearer`, `X-Cluster-API-Key` or `Cluster-API-Key`;
/// empty: none.
[[nodiscard]] std::string shown_key(const http::request& request);
/// Of `Authorization: Bearer` only.
[[nodiscard]] std::string bearer_token(const http::request& request);

/// True when brackets nest at most @p most deep. Printing JSON recurses, parsing does not: the
/// depth has to be bounded where it comes in.
[[nodiscard]] bool nests_at_most(std::string_view text, std::size_t most) noexcept;

} // namespace marchproxy::api
