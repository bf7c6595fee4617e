// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/exchange.hpp"
#include "nodes/relay/http_upstream.hpp"
#include "nodes/relay/session.hpp"

#include <memory>

namespace marchproxy::relay {

/// A client that speaks HTTP/1: CONNECT becomes a tunnel; requests in absolute form are forwarded
/// one after the other, over one upstream connection as long as they go to the same target.
class http_session final : public session {
public:
  http_session(context& c, std::unique_ptr<stream> client, const net::endpoint& peer, buffer first);
  void on_drain() override;

private:
  enum class phase : std::uint8_t { head, routing, forwarding, replying, lingering };
  enum class after : std::uint8_t { next_request, tunnel, linger };

  void advance() override;
  void on_routed(route::outcome o) override;
  void on_deadline() override;
  /// Each @return true when there may be more to do at once.
  [[nodiscard]] bool read_head();
  [[nodiscard]] bool reply();
  [[nodiscard]] bool forward();
  [[nodiscard]] bool linger();

  void on_head(std::size_t size);
  void begin_connect();
  void begin_forward();
  /// Finds a connection that goes there already and that the flow at hand may use. @return whether
  [[nodiscard]] bool reuse_upstream();
  void begin_exchange();
  void on_exchange_over(exchange::state how);
  void on_forward_deadline();
  void look_again(std::chrono::milliseconds limit);
  [[nodiscard]] std::chrono::milliseconds body_patience() const;
  void account();
  void await_request();
  /// A refusal of the flow at hand, or of a request that never became one.
  void refuse(reason why, std::uint16_t status = 0, std::string message = {});

  phase phase_ = phase::head;
  after after_ = after::linger;
  wire::head_scanner scanner_;
  bool head_begun_ = false;
  bool connect_ = false;
  bool may_keep_alive_ = false; ///< the client's connection, if the request is refused
  bool head_only_ = false;
  identity::presented shown_;
  forward_request request_;
  wire::host_port target_;
  std::unique_ptr<exchange> exchange_;
  bool reused_ = false;
  std::uint64_t discarded_ = 0; ///< bytes read while lingering
  net::clock::time_point last_moved_;
  http_upstream upstream_;
  net::task again_;
};

} // namespace marchproxy::relay
