// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/exchange.hpp"
#include "nodes/relay/http_upstream.hpp"
#include "nodes/relay/session.hpp"

#include <memory>

namespace marchproxy::relay {

/// A client that speaks HTTP/1: its requests one after the other, each with its answer or refusal.
/// Where they go is for whoever derives from it.
class http_session : public session {
public:
  /// @param sharer  whose later connections may use those that this one made to upstreams
  http_session(context& c,
               std::unique_ptr<stream> client,
               const net::endpoint& peer,
               buffer first,
               const ip_address& sharer);
  void on_drain() override;

protected:
  /// A whole head is in ctx().request, the first @p size bytes of in_. What is wanted of it is
  /// copied and the bytes are consumed; then the request is routed, answered or refused.
  virtual void on_head(std::size_t size) = 0;
  /// How a request came that is refused before it became a flow.
  [[nodiscard]] virtual entry came_by() const noexcept = 0;
  /// The upstream gave no answer, and the client was told nothing. @return true when the request is
  /// being tried once more
  [[nodiscard]] virtual bool try_again(const exchange& over) = 0;
  /// An exchange was answered whole.
  virtual void on_answered() {}
  /// Whether it may be given up to a resting_session between requests.
  [[nodiscard]] virtual bool may_rest() const noexcept { return !upstream_.is_personal(); }
  /// The ingress port that the client came to; none: the explicit proxy's.
  [[nodiscard]] virtual std::optional<std::uint16_t> ingress_port() const noexcept { return {}; }
  /// The backend that the client's source holds it to; null: none.
  [[nodiscard]] virtual std::shared_ptr<const routing::endpoint> held_to() const { return nullptr; }
  /// What the tunnel keeps that a request becomes.
  [[nodiscard]] virtual routing::endpoint::use take_backend() { return {}; }
  [[nodiscard]] limiting::demand asks_for() const noexcept override {
    return {.connection = true, .request = !counted_};
  }

  void advance() override;
  void note_credentials(std::string_view field);
  /// Finds a connection that goes to @p target already and that the flow at hand may use. @return
  /// whether
  /// @param tls  as http_upstream::reuse
  [[nodiscard]] bool reuse_upstream(const wire::host_port& target,
                                    const routing::backend_tls* tls = nullptr);
  /// upstream_ is there; the request goes to it.
  void begin_exchange();
  void await_route() noexcept { phase_ = phase::routing; }
  /// Writes reply_, then turns the connection into a tunnel to upstream_.
  void reply_then_tunnel();
  /// Writes reply_, which answers the request whole.
  void reply_then_go_on();
  /// A refusal of the flow at hand, or of a request that never became one.
  void refuse(reason why, std::uint16_t status = 0, std::string message = {});

  bool may_keep_alive_ = false; ///< the client's connection, if the request is refused
  identity::presented shown_;
  forward_request request_;
  http_upstream upstream_;
  bool reused_ = false;  ///< upstream_ carried another request before
  bool counted_ = false; ///< the request counts no more: it did, or it is a CONNECT

private:
  enum class phase : std::uint8_t { head, routing, forwarding, replying, lingering };
  enum class after : std::uint8_t { next_request, tunnel, linger };

  void on_deadline() override;
  /// Each @return true when there may be more to do at once.
  [[nodiscard]] bool admit_reused(const question& q, const judgement& j);
  [[nodiscard]] bool read_head();
  [[nodiscard]] bool reply();
  [[nodiscard]] bool forward();
  [[nodiscard]] bool linger();

  void on_exchange_over(exchange::state how);
  void on_forward_deadline();
  void look_again(std::chrono::milliseconds limit);
  [[nodiscard]] std::chrono::milliseconds body_patience() const;
  void account();
  void await_request();
  void rest();

  phase phase_ = phase::head;
  after after_ = after::linger;
  wire::head_scanner scanner_;
  bool head_begun_ = false;
  bool awaits_next_ = false; ///< a request was answered before
  bool head_only_ = false;
  std::unique_ptr<pacer> pacer_; ///< of the exchange, where its bytes are limited
  std::unique_ptr<exchange> exchange_;
  std::uint64_t discarded_ = 0; ///< bytes read while lingering
  net::clock::time_point last_moved_;
  net::task again_;
};

} // namespace marchproxy::relay
