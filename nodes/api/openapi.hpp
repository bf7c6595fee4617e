// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace marchproxy::api {

/// The OpenAPI 3.1 document of the route table.
[[nodiscard]] nlohmann::json openapi_document();

/// `components.schemas`, by name: what the routes take and return.
[[nodiscard]] nlohmann::json openapi_schemas();

} // namespace marchproxy::api
