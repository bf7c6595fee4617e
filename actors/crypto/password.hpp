// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/crypto/secret.hpp"

#include <string>

namespace marchproxy::crypto {

/// Argon2id with libsodium's interactive limits (2 passes, 64 MiB): tens of milliseconds, so never
/// on an actor's or an event loop's thread. The result carries its salt and parameters.
/// @errors unavailable if the memory cannot be had
[[nodiscard]] result<std::string> hash_password(const secret& password);

/// Costs as much as hash_password. False too for a hash that is not one.
[[nodiscard]] bool verify_password(const std::string& hash, const secret& password);

} // namespace marchproxy::crypto
