// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/time.hpp"
#include "actors/crypto/digest.hpp"
#include "actors/crypto/encoding.hpp"

#include <chrono>
#include <string>

namespace marchproxy::relay::testing {

inline const std::string jwt_secret = "0123456789abcdef0123456789abcdef";

/// Of the service @p subject, signed with jwt_secret.
inline std::string jwt(const std::string& subject, time_point expires) {
  auto seconds =
    std::chrono::duration_cast<std::chrono::seconds>(expires.time_since_epoch()).count();
  auto text =
    crypto::to_base64url(R"({"alg":"HS256","typ":"JWT"})") + "."
    + crypto::to_base64url(R"({"sub":")" + subject + R"(","exp":)" + std::to_string(seconds) + "}");
  auto mac = crypto::hmac_sha256(jwt_secret, text);
  return text + "." + crypto::to_base64url({reinterpret_cast<const char*>(mac.data()), mac.size()});
}

} // namespace marchproxy::relay::testing
