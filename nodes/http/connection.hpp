// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/http/message.hpp"
#include "nodes/wire/chunked.hpp"
#include "nodes/wire/http1.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::http {

/// The server's side of one HTTP/1.1 connection, without I/O: bytes go in, requests come out one at
/// a time, answers go in, bytes come out. Pipelined requests wait in the input, so answers keep
/// their order. Not thread-safe.
class connection {
public:
  connection(std::string peer, std::size_t max_body);

  /// Bytes that arrived.
  void received(std::string_view bytes);
  /// The next whole request, at most one until it is answered. Malformed input makes the answer by
  /// itself and ends the connection after it.
  [[nodiscard]] std::optional<request> next_request();
  /// The answer to the request handed out last. @p date as in the Date field; empty leaves it out.
  void answer(const response& value, std::string_view date);
  /// An answer that nobody asked the handler for (408, 503); ends the connection after it.
  void refuse(std::uint16_t status);

  /// Bytes to send; erase what was sent.
  [[nodiscard]] std::string& output() noexcept { return out_; }
  /// No request is handed out and the connection still listens: reading makes sense.
  [[nodiscard]] bool wants_input() const noexcept { return !pending_ && !closing_; }
  /// Nothing more comes: close once the output is sent.
  [[nodiscard]] bool closing() const noexcept { return closing_; }
  /// A request has begun to arrive and is not whole.
  [[nodiscard]] bool in_the_middle() const noexcept { return !in_.empty() || head_done_; }

private:
  bool take_head();
  bool take_body();
  bool take_chunks();
  void compact();

  std::string peer_;
  std::size_t max_body_;
  std::string in_;
  std::size_t used_ = 0; ///< bytes of in_ that are done with
  std::string out_;
  wire::head_scanner scanner_;
  wire::chunked_decoder chunks_;
  wire::body_framing framing_;
  request current_;
  bool head_done_ = false;
  bool keep_alive_ = true;
  bool head_method_ = false; ///< the request handed out is a HEAD: answer without a body
  bool pending_ = false;     ///< a request is handed out and not answered
  bool closing_ = false;
};

} // namespace marchproxy::http
