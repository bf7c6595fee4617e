// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/context.hpp"
#include "nodes/relay/grace.hpp"
#include "nodes/relay/hello_peek.hpp"

#include <memory>

namespace marchproxy::relay {

/// Two connected sockets and the bytes between them. A FIN of one side becomes a FIN to the other
/// once everything before it is delivered, and the other direction goes on; a reset becomes a
/// reset. While the client's first bytes are looked at, the upstream's flow already, so that a
/// server that speaks first is heard.
class tunnel final : public connection, public stream::owner {
public:
  struct parts {
    std::unique_ptr<stream> client;
    std::unique_ptr<stream> upstream;
    decision_record record;
    buffer early;       ///< what the client sent ahead of the tunnel
    bool peeks = false; ///< the client's TLS hello, if it sends one, is judged before it goes on
    routing::endpoint::use backend = {}; ///< of an ingress route
    limiting::admission admitted = {};
  };
  tunnel(context& c, parts p);
  ~tunnel() override = default;

  void start() override;
  void on_new_revision() override;
  void on_drain() override {}
  void abort() override;

private:
  void on_ready() override { advance(); }
  void advance();
  struct direction {
    explicit direction(pools& p) noexcept : bytes(p) {}
    pump bytes;
    bool ended = false; ///< all was delivered, the end included
  };
  /// The client's first bytes, until it is known whether they may go on.
  struct beginning {
    explicit beginning(tunnel& t, buffer early)
      : peek(std::move(early)), late([&t] { t.refuse(reason::bad_hello); }) {}
    hello_peek peek;
    net::timer late; ///< from the first byte of a hello to its last
  };
  /// @return false when the tunnel is over
  [[nodiscard]] bool judge_beginning();
  void refuse(reason why);
  void refuse(const judgement& j);
  /// Moves what can be moved. @return false when the tunnel is broken
  [[nodiscard]] bool run(direction& d, stream& from, stream& to, const direction& other);
  void follow_limits();
  void account() noexcept;
  void on_timer();
  void cut();
  void finish(bool reset);

  std::unique_ptr<stream> client_;
  std::unique_ptr<stream> upstream_;
  decision_record record_;
  routing::endpoint::use backend_;
  limiting::admission admitted_;
  std::unique_ptr<pacer> pacer_; ///< where bytes are limited
  direction up_;
  direction down_;
  std::unique_ptr<beginning> beginning_; ///< from the client's first byte on
  std::uint64_t up_before_ = 0;          ///< bytes of the flow before it was a tunnel
  std::uint64_t down_before_ = 0;
  bool peeks_;              ///< what the client says first may not go on yet
  bool down_first_ = false; ///< limited bytes go to both directions in turns
  bool over_ = false;
  net::clock::time_point last_moved_;
  net::timer idle_;
  grace grace_;
  net::task again_;
};

} // namespace marchproxy::relay
