// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"
#include "actors/storage/mutation.hpp"

/// Which services a mapping names, as rows; for the sources of this room.
namespace marchproxy::storage {

/// Replaces the rows of value.id. @errors conflict if a service does not exist
[[nodiscard]] result<void> write_mapping_services(mutation& m, const model::mapping& value);

} // namespace marchproxy::storage
