// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/time.hpp"
#include "actors/bus/nkey.hpp"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::bus {

/// Who a NATS JWT (version 2) is about, and until when it counts.
struct jwt_subject {
  std::string key; ///< public nkey
  std::string name;
  time_point issued;
  std::optional<time_point> expires = std::nullopt;
};

/// Signs a JWT whose `nats` claim is @p nats plus the version. NATS counts whole seconds: both
/// times are cut down.
[[nodiscard]] std::string
mint_jwt(const nkey& issuer, const jwt_subject& subject, nlohmann::json nats);

/// What a JWT says about itself.
struct jwt_facts {
  jwt_subject subject;
  std::string issuer;  ///< public nkey of whoever signed it
  std::string account; ///< `issuer_account`: set if a signing key of the account issued it
};

/// Reads a JWT of ours and checks that its issuer signed it. Whether that issuer is trusted, and
/// the expiry, are the caller's to judge.
/// @errors corrupt if it is no JWT, or its signature is wrong
[[nodiscard]] result<jwt_facts> read_jwt(std::string_view text);

} // namespace marchproxy::bus
