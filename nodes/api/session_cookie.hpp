// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/http/message.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace marchproxy::api {

/// Value of Set-Cookie; a lifetime of 0 ends it. The service adds `Secure` where it is due.
[[nodiscard]] std::string session_cookie(std::string_view token, std::chrono::seconds lifetime);
/// Token of the session cookie; empty when there is none.
[[nodiscard]] std::string session_token(const http::request& request);

} // namespace marchproxy::api
