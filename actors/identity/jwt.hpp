// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::identity {

constexpr std::size_t most_token_bytes = std::size_t{8} * 1024;

/// A JWT in compact form (RFC 7515 7.1), taken apart and not yet trusted.
struct jwt {
  std::string_view signed_part; ///< into the text that was parsed
  std::string signature;
  std::string algorithm;
  std::optional<std::string> key_id;
  std::optional<std::string> subject;
  std::vector<std::string> audience;
  bool has_audience = false;
  double expires = 0; ///< seconds since the epoch
  std::optional<double> not_before;
};

enum class jwt_fault : std::uint8_t {
  none,
  malformed, ///< not three base64url parts of JSON objects, or a claim of the wrong type
  too_large, ///< beyond most_token_bytes
  critical,  ///< asks for extensions that we do not know (RFC 7515 4.1.11)
  no_expiry, ///< `exp` is missing
};

struct parsed_jwt {
  jwt token;
  jwt_fault fault = jwt_fault::none;
};

/// Two dots: a JWT rather than a Base64 token.
[[nodiscard]] bool looks_like_jwt(std::string_view text) noexcept;
/// Safe on any bytes. The result views @p text.
[[nodiscard]] parsed_jwt parse_jwt(std::string_view text);

} // namespace marchproxy::identity
