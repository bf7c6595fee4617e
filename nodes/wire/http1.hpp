// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/wire/host.hpp"
#include "nodes/wire/parse_state.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace marchproxy::wire {

constexpr std::size_t max_head_bytes = std::size_t{16} * 1024;
constexpr std::size_t max_fields = 100;

/// Why a message is refused. to_string() is fit for a client, status_of() the answer to give.
enum class http1_error : std::uint8_t {
  none,
  line_ending,       ///< a bare LF, or a CR that is not followed by LF
  head_too_large,    ///< more than max_head_bytes
  too_many_fields,   ///< more than max_fields
  method,            ///< not a token, or longer than 32 bytes
  target,            ///< not one of the four forms, or a byte that no URL has
  version,           ///< not HTTP/1.0 or HTTP/1.1
  status_line,       ///< of a response
  field_name,        ///< not a token, or whitespace before the colon
  field_value,       ///< a control byte
  obs_fold,          ///< a line that continues the one before
  host,              ///< missing in HTTP/1.1, twice, or not a host
  content_length,    ///< twice, not a number, or beyond 2^63
  transfer_encoding, ///< anything but one `chunked`, or in HTTP/1.0
  framing_conflict,  ///< Content-Length and Transfer-Encoding together
  chunk_size,
  chunk_extension, ///< a control byte, or more extension bytes than the bound
  chunk_end,       ///< no CRLF behind a chunk's data
  trailer,         ///< malformed, or beyond the bounds of a head
};

[[nodiscard]] std::string_view to_string(http1_error e) noexcept;
/// 400, 431, 501 or 505.
[[nodiscard]] std::uint16_t status_of(http1_error e) noexcept;

/// A header field as sent, value without surrounding whitespace. Points into the head it was parsed
/// from.
struct field {
  std::string_view name;
  std::string_view value;
};

[[nodiscard]] bool iequals(std::string_view a, std::string_view b) noexcept;
/// Takes the first element off a comma list, without the whitespace around it; it may be empty.
[[nodiscard]] std::string_view take_element(std::string_view& list) noexcept;
/// True when the comma list @p value has the element @p token, in any case.
[[nodiscard]] bool has_token(std::string_view value, std::string_view token) noexcept;
/// False for fields that frame, route, authenticate or control a message, or belong to one
/// connection: those are never taken from behind a body (RFC 9110 6.5.1).
[[nodiscard]] bool fits_trailer(std::string_view name) noexcept;

/// The fields of one head, in the order sent.
class field_list {
public:
  [[nodiscard]] const field* begin() const noexcept { return fields_.data(); }
  [[nodiscard]] const field* end() const noexcept { return fields_.data() + size_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Value of the first field of that name, in any case.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;
  /// True when one of the fields of that name has the token (has_token).
  [[nodiscard]] bool lists(std::string_view name, std::string_view token) const noexcept;
  /// True for fields that concern one connection only and are never passed on: Connection and what
  /// it names, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade (RFC 9110 7.6.1).
  /// Content-Length never is: without it the body would be read as the next message.
  [[nodiscard]] bool is_hop_by_hop(const field& f) const noexcept;

  /// Reads `name: value CRLF` lines up to and without the empty line.
  [[nodiscard]] http1_error parse(std::string_view lines) noexcept;

private:
  std::array<field, max_fields> fields_;
  std::size_t size_ = 0;
};

enum class body_kind : std::uint8_t {
  none,
  length,
  chunked,
  until_close, ///< responses only
};

struct body_framing {
  body_kind kind = body_kind::none;
  std::uint64_t length = 0; ///< for body_kind::length; never 0 there

  bool operator==(const body_framing&) const = default;
};

/// Whether a client that may speak anything speaks HTTP: a method in capitals and `-`, at most 24
/// bytes, and a space.
/// @param in  the bytes received so far
[[nodiscard]] parse_state begins_request(std::string_view in) noexcept;

/// Finds the end of a head while bytes trickle in; looks at each byte once. One per connection, 8
/// bytes.
class head_scanner {
public:
  struct outcome {
    parse_state state = parse_state::need_more;
    std::size_t size = 0; ///< bytes of the head with its empty line, when complete
    http1_error error = http1_error::none;
  };
  /// @param in  the head's bytes so far, from its first
  [[nodiscard]] outcome scan(std::string_view in) noexcept;
  /// Before the next head.
  void reset() noexcept { seen_ = 0; }

private:
  std::size_t seen_ = 0;
};

enum class target_form : std::uint8_t { origin, absolute, authority, asterisk };
enum class url_scheme : std::uint8_t { http, https };

/// A request head (RFC 9112). All views point into the bytes given to parse(). Big: keep one per
/// worker and reuse it.
struct request_head {
  std::string_view method;
  target_form form = target_form::origin;
  std::string_view target; ///< as sent
  /// Path and query. For absolute form what follows the authority, so it may be empty or begin with
  /// `?`: write a `/` before it then. Empty for authority form, `*` for asterisk form.
  std::string_view path;
  url_scheme scheme = url_scheme::http; ///< absolute form only
  /// From the target when it has one, else from Host. Empty host: HTTP/1.0 or an empty Host. The
  /// port is 0 when not written; never 0 in authority form.
  host_port authority;
  std::uint8_t minor = 1; ///< HTTP/1.minor
  bool keep_alive = true;
  bool expect_continue = false;
  body_framing body;
  field_list fields;

  /// @param head  one complete head, as measured by head_scanner
  [[nodiscard]] http1_error parse(std::string_view head) noexcept;

private:
  [[nodiscard]] http1_error parse_target() noexcept;
  [[nodiscard]] http1_error parse_absolute(std::string_view rest) noexcept;
  [[nodiscard]] http1_error parse_host() noexcept;
};

/// A response head. As request_head.
struct response_head {
  std::uint16_t status = 0; ///< 100..599
  std::string_view reason;
  std::uint8_t minor = 1;
  bool keep_alive = true;
  body_framing body;
  field_list fields;

  /// @param method  of the request that this answers: HEAD has no body, CONNECT no framing
  [[nodiscard]] http1_error parse(std::string_view head, std::string_view method) noexcept;
};

} // namespace marchproxy::wire
