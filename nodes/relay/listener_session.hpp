// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/credentials_prompt.hpp"
#include "nodes/relay/hello_peek.hpp"
#include "nodes/relay/session.hpp"

#include <optional>

namespace marchproxy::relay {

/// A connection that says no word about where it goes: a service's own listener leads to the
/// service, a transparent one to where the client meant to go. Where that address is refused and a
/// mapping allows names, a transparent client's TLS hello is read before it is refused: the flow
/// then goes by the name in it, to an address that our own resolver has for that name; one that
/// speaks plain HTTP goes on as a named_http_session. Where a
/// mapping wants credentials, a client of a service's listener is asked for them.
class listener_session final : public session {
public:
  struct way {
    entry via = entry::listener;
    wire::host_port target;
    model::proxy_header introduces = model::proxy_header::off; ///< the client to the target
  };
  /// @param early  what the client sent already
  listener_session(context& c,
                   std::unique_ptr<stream> client,
                   const net::endpoint& peer,
                   const way& w,
                   buffer early);
  void start() override;

private:
  void advance() override;
  void on_routed(route::outcome o) override;
  void on_deadline() override;
  [[nodiscard]] bool needs_hello() const;
  void on_plain();
  void look_for_request();
  void become_http();
  void on_hello(const wire::client_hello& hello);
  void go_by_target(const identity::presented& shown = {});
  void ask_for_credentials(route::outcome without);
  void await_credentials();
  void give_up();
  void refuse(reason why);
  void part(reason why);

  way way_;
  std::optional<hello_peek> peek_; ///< while the hello is awaited
  bool awaits_request_ = false;    ///< it spoke, and no TLS
  bool speaks_tls_ = false;
  std::optional<credentials_prompt> prompt_; ///< while credentials are awaited
  std::optional<route::outcome> without_;    ///< what came out before they were asked for
};

} // namespace marchproxy::relay
