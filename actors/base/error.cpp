// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"

#include <cstdio>
#include <cstdlib>

namespace marchproxy {

std::string_view to_string(errc code) noexcept {
  switch (code) {
  case errc::invalid_argument:
    return "invalid_argument";
  case errc::unauthenticated:
    return "unauthenticated";
  case errc::forbidden:
    return "forbidden";
  case errc::not_found:
    return "not_found";
  case errc::conflict:
    return "conflict";
  case errc::precondition_failed:
    return "precondition_failed";
  case errc::too_large:
    return "too_large";
  case errc::limit_reached:
    return "limit_reached";
  case errc::corrupt:
    return "corrupt";
  case errc::unavailable:
    return "unavailable";
  case errc::timeout:
    return "timeout";
  case errc::refused:
    return "refused";
  case errc::unsupported:
    return "unsupported";
  case errc::internal:
    return "internal";
  }
  return "internal";
}

std::string to_string(const error& e) {
  auto text = std::string{to_string(e.code)} + ": " + e.message;
  for (std::size_t i = 0; i < e.fields.size(); ++i)
    text += (i == 0 ? " (" : "; ") + e.fields[i].field + ": " + e.fields[i].message;
  if (!e.fields.empty())
    text += ")";
  return text;
}

tl::unexpected<error> fail_field(std::string field, std::string message) {
  auto text = field + ": " + message;
  return tl::unexpected(
    error{errc::invalid_argument, std::move(text), {{std::move(field), std::move(message)}}});
}

void invariant_lost(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: lost invariant: %s\n", file, line, expression);
  std::abort();
}

} // namespace marchproxy
