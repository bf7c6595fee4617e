// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <string>
#include <string_view>

namespace marchproxy::identity {

/// What a data-plane client shows: a Base64 token or a JWT, and perhaps the service that it says it
/// is.
struct presented {
  std::string service = {}; ///< empty for Bearer
  std::string secret = {};

  bool operator==(const presented&) const = default;
};

/// The value of Proxy-Authorization: `Bearer <token or JWT>` or `Basic base64(service:token)`
/// (RFC 6750, RFC 7617). The scheme in any case.
/// @errors unauthenticated, saying what is wrong with it
[[nodiscard]] result<presented> parse_proxy_authorization(std::string_view header);

} // namespace marchproxy::identity
