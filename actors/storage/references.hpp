// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"
#include "actors/storage/mutation.hpp"

/// Which services mappings and ingress routes name, as rows; for the sources of this room.
namespace marchproxy::storage {

/// Replaces the rows of value.id. @errors conflict if a service does not exist
[[nodiscard]] result<void> write_mapping_services(mutation& m, const model::mapping& value);
/// The same for an ingress route.
[[nodiscard]] result<void> write_route_services(mutation& m, const model::ingress_route& value);
/// What stands for a route's conditions on headers in its row; empty: none.
[[nodiscard]] std::string conditions_text(const model::ingress_route& value);

} // namespace marchproxy::storage
