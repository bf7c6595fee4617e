// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/handshake_session.hpp"

#include "nodes/relay/farewell.hpp"
#include "nodes/relay/header_session.hpp"

namespace marchproxy::relay {

handshake_session::handshake_session(context& c,
                                     std::unique_ptr<stream> client,
                                     const net::endpoint& peer,
                                     const routing::route_table::port& at,
                                     buffer early)
  : session(c, std::move(client), peer, buffer{c.pools.buffers}), port_(at.number) {
  client_->secure(c.settings.acceptor->accept(
    client_->fd(), {.http = at.protocol == model::route_protocol::http, .asks_who = at.asks_who},
    std::string{early.bytes()}));
}

void handshake_session::start() {
  if (!client_->watch(*this))
    return close();
  session::start();
}

void handshake_session::advance() {
  switch (client_->handshake()) {
  case io_state::moved:
    break;
  case io_state::blocked:
    return;
  case io_state::ended:
  case io_state::failed:
    return fail();
  }
  auto& c = ctx();
  (client_->security()->resumed() ? c.counters.tls_resumed : c.counters.tls_full).add();
  retire();
  c.adopt(make_ingress_session(c, std::move(client_), peer_, {port_}, buffer{c.pools.buffers}));
}

void handshake_session::on_deadline() {
  ctx().counters.tls_failed.add();
  close();
}

/// The alert is on its way: closing with bytes of the client unread could overtake it.
void handshake_session::fail() {
  auto& c = ctx();
  c.counters.tls_failed.add();
  client_->give_up_tls();
  retire();
  c.adopt(std::make_unique<farewell>(c, std::move(client_), std::string_view{}));
}

} // namespace marchproxy::relay
