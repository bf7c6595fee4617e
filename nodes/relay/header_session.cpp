// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/header_session.hpp"

#include "nodes/relay/handshake_session.hpp"
#include "nodes/relay/ingress_session.hpp"
#include "nodes/relay/ingress_tcp_session.hpp"
#include "nodes/wire/proxy_protocol.hpp"

namespace marchproxy::relay {

namespace {

const routing::route_table::port* port_of(const context& c, ingress_port at) noexcept {
  return c.snapshot && c.snapshot->routes ? c.snapshot->routes->at(at.number) : nullptr;
}

} // namespace

std::unique_ptr<session> make_session(context& c,
                                      std::unique_ptr<stream> client,
                                      const net::endpoint& peer,
                                      arrival how,
                                      buffer early) {
  if (auto* way = std::get_if<listener_session::way>(&how))
    return std::make_unique<listener_session>(c, std::move(client), peer, std::move(*way),
                                              std::move(early));
  const auto* port = std::get_if<ingress_port>(&how);
  if (port == nullptr)
    return std::make_unique<sniff_session>(c, std::move(client), peer, std::move(early));
  if (const auto* at = port_of(c, *port); at != nullptr && at->tls && c.settings.acceptor)
    return std::make_unique<handshake_session>(c, std::move(client), peer, *at, std::move(early));
  return make_ingress_session(c, std::move(client), peer, *port, std::move(early));
}

std::unique_ptr<session> make_ingress_session(context& c,
                                              std::unique_ptr<stream> client,
                                              const net::endpoint& peer,
                                              ingress_port at,
                                              buffer early) {
  const auto* port = port_of(c, at);
  if (port != nullptr && port->protocol == model::route_protocol::tcp)
    return std::make_unique<ingress_tcp_session>(c, std::move(client), peer, at.number,
                                                 std::move(early));
  return std::make_unique<ingress_session>(c, std::move(client), peer, at.number, std::move(early));
}

header_session::header_session(context& c,
                               std::unique_ptr<stream> client,
                               const net::endpoint& peer,
                               arrival how)
  : session(c, std::move(client), peer, buffer{c.pools.buffers}), how_(std::move(how)) {}

void header_session::start() {
  // TLS may follow, and its channel reads the socket itself.
  if (!client_->watch(*this, stream::watcher::epoll))
    return close();
  set_deadline(ctx().settings.head_timeout);
}

void header_session::refuse() {
  ctx().counters.bad_proxy_headers.add();
  close();
}

void header_session::advance() {
  auto got = client_->read(in_);
  if (got.state == io_state::blocked)
    return;
  if (got.state != io_state::moved)
    return close();
  auto header = wire::proxy_protocol::parse(in_.bytes());
  if (header.state == wire::parse_state::error)
    return refuse();
  if (header.state == wire::parse_state::need_more)
    return;
  in_.consume(header.consumed);
  if (header.of)
    peer_ = {header.of->source, header.of->source_port};
  auto& c = ctx();
  retire();
  c.adopt(make_session(c, std::move(client_), peer_, std::move(how_), std::move(in_)));
}

} // namespace marchproxy::relay
