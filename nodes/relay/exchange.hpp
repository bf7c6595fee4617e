// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/context.hpp"
#include "nodes/relay/forward_head.hpp"

#include <string>

namespace marchproxy::relay {

/// What is kept of a request that is being forwarded.
struct forward_request {
  /// Takes the request that was parsed last.
  /// @param shape  the client, and what is to be changed; the rest is filled in
  void assign(const context& c, request_shape shape);
  /// True when it can be sent again after a connection broke that answered nothing (RFC
  /// 9110 9.2.2).
  [[nodiscard]] bool may_repeat() const noexcept;

  std::string head; ///< as it goes out
  wire::body_framing body;
  std::string method;                                     ///< decides how the answer is framed
  std::string trailers;                                   ///< announced; see announced_trailers()
  std::span<const model::header_change> response_changes; ///< of a route that outlives the exchange
  bool keep_alive = true;
  bool http10 = false;
  bool takes_trailers = false;
  bool expects_continue = false;
  bool asks_for_websocket = false;
  bool authenticates_connection = false;
};

/// One request and its answer between a client and an origin, both bodies streamed, in both
/// directions at once.
class exchange {
public:
  static constexpr unsigned max_interim = 16; ///< responses of 1xx before the final one

  enum class state : std::uint8_t {
    running,     ///< waits for a stream, or for the pacer
    yielded,     ///< has more to move; come again in the next turn
    done,        ///< the answer is delivered
    switched,    ///< the 101 is delivered: what follows either way is WebSocket
    no_answer,   ///< the origin broke off or broke HTTP before the client got anything
    broken,      ///< as no_answer, but too late to say so
    bad_body,    ///< the client's chunks are malformed, and it was told nothing yet
    client_gone, ///< the client broke off
  };

  /// @param ahead  what the client sent behind the head; what is not of the body stays in it
  /// @param by     holds both directions to limits; may be null
  exchange(context& c, const forward_request& request, buffer& ahead, pacer* by = nullptr);

  [[nodiscard]] state advance(stream& client, stream& upstream);
  /// After done: whether the connections may carry another request.
  [[nodiscard]] bool client_reusable() const noexcept {
    return client_keep_alive_ && request_done_;
  }
  [[nodiscard]] bool upstream_reusable() const noexcept {
    return upstream_keep_alive_ && request_done_;
  }
  /// True while the origin has sent nothing at all.
  [[nodiscard]] bool unanswered() const noexcept { return !heard_; }
  /// True when the origin asks for credentials that hold for the connection.
  [[nodiscard]] bool authenticates_connection() const noexcept { return authenticates_connection_; }
  /// True when the client got a byte of the answer, so that none of ours can follow. Whole interim
  /// responses do not count.
  [[nodiscard]] bool told() const noexcept { return told_; }
  /// True when the exchange stands still because the client sends no more of its body.
  [[nodiscard]] bool awaits_body() const noexcept;
  [[nodiscard]] std::uint64_t bytes_up() const noexcept;
  [[nodiscard]] std::uint64_t bytes_down() const noexcept;

private:
  [[nodiscard]] state send_request(stream& client, stream& upstream);
  [[nodiscard]] state read_response_head(stream& upstream);
  [[nodiscard]] state on_response_head(std::size_t size);
  void on_interim(const wire::response_head& head);
  void on_final(const wire::response_head& head);
  [[nodiscard]] state on_switch(const wire::response_head& head, std::size_t size);
  [[nodiscard]] state send_response(stream& client, stream& upstream);
  [[nodiscard]] std::size_t join_head();
  void begin_response_body();

  context& context_;
  const forward_request& request_;
  buffer& ahead_;
  pacer* pacer_;
  pump request_pump_;
  chunk_pump request_chunks_;
  std::size_t head_sent_ = 0;
  bool request_done_ = false;
  bool request_cut_ = false; ///< the origin takes no more of it

  buffer response_in_;
  wire::head_scanner scanner_;
  std::string response_head_; ///< still to be written to the client
  std::size_t response_head_bytes_ = 0;
  wire::body_framing response_body_;
  std::string response_trailers_; ///< announced, for a client that takes them
  pump response_pump_;
  chunk_pump response_chunks_;
  bool heard_ = false;
  bool answering_ = false; ///< the final response head was read
  bool switching_ = false; ///< the answer is the 101 of a WebSocket
  bool told_ = false;      ///< the client got some of the answer; see told()
  bool authenticates_connection_ = false;
  unsigned interim_ = 0;
  bool client_keep_alive_ = true;
  bool upstream_keep_alive_ = true;
};

} // namespace marchproxy::relay
