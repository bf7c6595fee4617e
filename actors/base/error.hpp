// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <tl/expected.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace marchproxy {

/// What went wrong, in the terms a client can act on. The names reach clients (to_string), so a
/// value is never renamed or renumbered. HTTP statuses are those of nodes/api.
enum class errc : std::uint8_t {
  invalid_argument = 1,    ///< a field is malformed; error::fields names it (400)
  unauthenticated = 2,     ///< no or wrong credentials (401)
  forbidden = 3,           ///< known, but not allowed to (403)
  not_found = 4,           ///< no such resource (404)
  conflict = 5,            ///< exists already, is still in use, or was changed meanwhile (409)
  precondition_failed = 6, ///< If-Match does not hold (412)
  too_large = 7,           ///< input or result beyond a stated bound (413)
  limit_reached = 8,       ///< seats, rates or quotas used up (429)
  corrupt = 9,      ///< stored or received bytes fail their checksum, signature or format (500)
  unavailable = 10, ///< a dependency does not answer now; trying again may help (503)
  timeout = 11,     ///< a deadline passed; the outcome is not known (504)
  refused = 12,     ///< a peer said no and gave its reason (409)
  unsupported = 13, ///< this kernel, licence or build cannot (501)
  internal = 14,    ///< a defect of ours or of a library (500)
};

/// One field that validation refused: its path in the input (`source_services[2]`) and why.
struct field_error {
  std::string field;
  std::string message;

  bool operator==(const field_error&) const = default;
};

struct error {
  errc code = errc::internal;
  std::string message;
  std::vector<field_error> fields = {};

  bool operator==(const error&) const = default;
};

template <class T>
using result = tl::expected<T, error>;

/// Stable snake_case name of @p code, as in the API's `error.code`.
[[nodiscard]] std::string_view to_string(errc code) noexcept;

/// One line for logs: `code: message (field: why; field: why)`.
[[nodiscard]] std::string to_string(const error& e);

[[nodiscard]] inline tl::unexpected<error> fail(errc code, std::string message) {
  return tl::unexpected(error{code, std::move(message), {}});
}

/// invalid_argument for one field.
[[nodiscard]] tl::unexpected<error> fail_field(std::string field, std::string message);

/// Ends the process: an invariant of ours is lost. Never for input.
[[noreturn]] void invariant_lost(const char* expression, const char* file, int line) noexcept;

} // namespace marchproxy

#define MP_INVARIANT(expression)                                                                   \
  (static_cast<bool>(expression) ? static_cast<void>(0)                                            \
                                 : ::marchproxy::invariant_lost(#expression, __FILE__, __LINE__))
