// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/ingress_route.hpp"

#include <string>
#include <string_view>

namespace marchproxy::routing {

/// The path and query that go on to the backend.
/// @param target  as the request has it; its path matches the route's
[[nodiscard]] std::string rewrite_target(const model::ingress_route& route,
                                         std::string_view target);

/// Where a redirect leads: its location with `{path}` replaced by @p target.
[[nodiscard]] std::string location_of(const model::redirect& redirect, std::string_view target);

} // namespace marchproxy::routing
