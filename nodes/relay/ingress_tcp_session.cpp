// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/ingress_tcp_session.hpp"

#include "nodes/relay/client_certificate.hpp"

namespace marchproxy::relay {

ingress_tcp_session::ingress_tcp_session(context& c,
                                         std::unique_ptr<stream> client,
                                         const net::endpoint& peer,
                                         std::uint16_t port,
                                         buffer early)
  : session(c, std::move(client), peer, std::move(early)),
    port_(port),
    again_([this] { try_next(); }) {}

void ingress_tcp_session::start() {
  if (!client_->watch(*this))
    return close();
  begin_flow(entry::ingress, {{}, port_});
  const auto* snapshot = ctx().snapshot.get();
  const auto* found =
    snapshot != nullptr && snapshot->routes ? snapshot->routes->tcp(port_) : nullptr;
  if (found == nullptr) {
    ctx().failed(*flow_, snapshot == nullptr ? reason::no_policy : reason::no_route);
    return close();
  }
  const auto* security = client_->security();
  if (security != nullptr)
    flow_->sni = security->server_name();
  if (const auto refusal = refuse_client(found->definition, security, wall_now())) {
    ctx().failed(*flow_, refusal->why);
    return close();
  }
  choice_.begin(snapshot->routes, *found, peer_.address);
  try_next();
}

void ingress_tcp_session::try_next() {
  if (closed())
    return;
  const auto* target = choice_.next(ctx().loop.now(), ctx().counters);
  if (target == nullptr) {
    if (last_ && !choice_.overloaded())
      enter(*last_);
    else
      ctx().failed(*flow_, choice_.overloaded() ? reason::overloaded : reason::no_backend);
    if (beyond_ || choice_.overloaded())
      net::reset_on_close(client_->fd()); // as if nobody listened: it may come again
    return close();
  }
  aim(*target);
  seek_route({.target = *target, .tls = choice_.tls()}, choice_.introduces());
}

void ingress_tcp_session::on_routed(route::outcome o) {
  if (o.upstream) {
    enter(o);
    choice_.reached();
    return become_tunnel(std::move(o.upstream), std::move(in_), choice_.take());
  }
  if (o.verdict.allowed())
    choice_.failed(ctx().loop.now());
  else
    choice_.refused();
  last_ = std::move(o);
  ctx().loop.soon(again_);
}

} // namespace marchproxy::relay
