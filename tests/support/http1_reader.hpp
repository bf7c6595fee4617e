// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/wire/chunked.hpp"
#include "nodes/wire/http1.hpp"

#include <string>
#include <string_view>

namespace marchproxy::testing {

/// Reads a stream of HTTP/1 messages with the parsers of nodes/wire, in the order in which the
/// relay uses them, and says what it read:
///   requests   `POST /a "body" +trailer="value" | GET /b | end`
///   responses  `100 | 200 "body" | end`
/// The last word is `end` (nothing is open), `more` (the stream ended inside a message), `closed`
/// (bytes behind the last message of the connection), `tunnel "bytes"` or `refused` with the error.
/// How the stream is cut into pieces makes no difference.
class http1_reader {
public:
  /// @param method  empty: reads requests; else responses to requests of that method
  explicit http1_reader(std::string method) : method_(std::move(method)) {}

  void feed(std::string_view piece);
  /// The stream is over. @return what was read
  [[nodiscard]] std::string finish();
  /// Body bytes and trailer section of the messages so far, one after the other.
  [[nodiscard]] const std::string& bodies() const noexcept { return bodies_; }

private:
  enum class phase : std::uint8_t { head, length, chunks, until_close, tunnel, closed, refused };

  [[nodiscard]] bool advance();
  [[nodiscard]] bool read_head();
  [[nodiscard]] bool read_length();
  [[nodiscard]] bool read_chunks();
  [[nodiscard]] wire::http1_error parse(std::string_view head);
  void begin_body();
  void end_message();
  void refuse(std::string_view why);

  std::string method_;
  std::string in_;
  std::string said_;
  std::string line_; ///< of the message at hand
  std::string body_;
  std::string bodies_;
  std::string trailers_;
  wire::head_scanner scanner_;
  wire::request_head request_;
  wire::response_head response_;
  wire::chunked_decoder decoder_;
  wire::body_framing framing_;
  std::uint64_t left_ = 0;
  bool keep_alive_ = true;
  bool tunnels_ = false; ///< behind the message at hand
  phase phase_ = phase::head;
};

/// The enumerator's own name.
[[nodiscard]] std::string_view name_of(wire::http1_error e);

} // namespace marchproxy::testing
