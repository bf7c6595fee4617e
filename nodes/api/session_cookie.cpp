// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/api/session_cookie.hpp"

#include <algorithm>

namespace marchproxy::api {

namespace {

constexpr std::string_view cookie_name = "mp_session";

} // namespace

std::string session_cookie(std::string_view token, std::chrono::seconds lifetime) {
  std::string out(cookie_name);
  out.append("=").append(token);
  return out + "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" + std::to_string(lifetime.count());
}

std::string session_token(const http::request& request) {
  for (const auto& [name, value] : request.headers) {
    if (name != "cookie")
      continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const auto end = std::min(rest.find(';'), rest.size());
      auto pair = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      pair.remove_prefix(std::min(pair.find_first_not_of(' '), pair.size()));
      const auto equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == cookie_name)
        return std::string(pair.substr(equals + 1));
    }
  }
  return {};
}

} // namespace marchproxy::api
