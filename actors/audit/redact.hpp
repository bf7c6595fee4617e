// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace marchproxy::audit {

/// Whether a field of that name holds a secret: password, token, secret, key, verifier, cookie and
/// their relatives in any spelling, except names of what is public (`public_key`, `key_id`, ...).
[[nodiscard]] bool names_a_secret(std::string_view field);

/// @p value without secrets, at any depth: what lies in a field that names_a_secret, and texts that
/// are private keys or API keys wherever they stand, become "[redacted]". true, false and null
/// stay.
[[nodiscard]] nlohmann::json redact(const nlohmann::json& value);

/// The canonical text of redact(@p value): no spaces, keys ascending by bytes; what is not UTF-8
/// becomes U+FFFD. Empty for null.
[[nodiscard]] std::string redacted_text(const nlohmann::json& value);

} // namespace marchproxy::audit
