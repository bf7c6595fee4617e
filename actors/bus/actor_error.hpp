// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <caf/error.hpp>

namespace marchproxy::bus {

/// Our error as a CAF error: category `mp`, the errc as code, the message as context. Field errors
/// are not carried.
[[nodiscard]] caf::error to_caf(const error& e);

/// The way back. CAF's own errors become timeout (a request's deadline), unavailable (the receiver
/// is gone) or internal.
[[nodiscard]] error from_caf(const caf::error& e);

} // namespace marchproxy::bus
