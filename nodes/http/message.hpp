// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace marchproxy::http {

/// Header fields in the order they came or go; names in lower case.
using header_list = std::vector<std::pair<std::string, std::string>>;

[[nodiscard]] std::optional<std::string_view> find(const header_list& headers,
                                                   std::string_view lower_case_name) noexcept;

/// One whole request, owned.
struct request {
  std::string method;
  std::string path;  ///< as sent, without the query: still percent-encoded
  std::string query; ///< without the `?`
  header_list headers;
  std::string body;
  std::string peer; ///< address of the client, without its port

  [[nodiscard]] std::optional<std::string_view> header(std::string_view lower_case_name) const {
    return find(headers, lower_case_name);
  }
};

/// One whole response. Content-Length, Date and Connection are the server's to write.
struct response {
  std::uint16_t status = 200;
  header_list headers;
  std::string body;
};

/// %XX resolved; nothing for a broken escape or a NUL byte.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);
/// Everything but unreserved characters as %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);
/// `a=1&b=2`, decoded; pairs with broken escapes are dropped.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);

} // namespace marchproxy::http
