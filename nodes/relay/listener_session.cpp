// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/listener_session.hpp"

#include "nodes/relay/farewell.hpp"
#include "nodes/relay/server_name.hpp"

namespace marchproxy::relay {

listener_session::listener_session(
  context& c, std::unique_ptr<stream> client, const net::endpoint& peer, const way& w, buffer early)
  : session(c, std::move(client), peer, std::move(early)), way_(w) {}

void listener_session::start() {
  if (!client_->watch(*this))
    return close();
  begin_flow(way_.via, way_.target);
  if (!needs_hello())
    return go_by_target();
  peek_.emplace(std::move(in_));
  set_deadline(ctx().settings.head_timeout);
  advance();
}

bool listener_session::needs_hello() const {
  const auto& address = way_.target.host.address();
  question q{peer_.address, {}, way_.target.port, nullptr, {}};
  return way_.via == entry::transparent && address
         && hello_may_allow(ctx().snapshot.get(), q, *address);
}

void listener_session::advance() {
  if (!peek_)
    return;
  switch (peek_->advance(*client_)) {
  case hello_peek::state::waiting:
    return;
  case hello_peek::state::plain:
    return go_by_target();
  case hello_peek::state::hello:
    speaks_tls_ = true;
    return on_hello(peek_->hello());
  case hello_peek::state::malformed:
    speaks_tls_ = true;
    return refuse(reason::bad_hello);
  case hello_peek::state::gone:
    return close();
  }
}

void listener_session::on_hello(const wire::client_hello& hello) {
  if (hello.encrypted && ctx().settings.ech == ech_policy::deny)
    return refuse(reason::ech_refused);
  if (hello.server_name.empty())
    return go_by_target();
  wire::host_port named{hello.server_name, way_.target.port};
  flow_->name = flow_->sni = hello.server_name.name();
  in_ = peek_->take();
  peek_.reset();
  find_route(named, {}, way_.target.host.address());
}

/// As if there were no hello, by the snapshot of now.
void listener_session::go_by_target() {
  if (peek_)
    in_ = peek_->take();
  peek_.reset();
  find_route(way_.target, {}, {}, way_.introduces);
}

void listener_session::on_deadline() {
  if (!peek_->begun())
    return go_by_target();
  speaks_tls_ = true;
  refuse(reason::bad_hello);
}

void listener_session::refuse(reason why) {
  ctx().judged(*flow_, refused_for(ctx().snapshot.get(), why));
  part(why);
}

void listener_session::on_routed(route::outcome o) {
  if (o.upstream)
    return become_tunnel(std::move(o.upstream), std::move(in_));
  if (o.verdict.allowed())
    return close(); // and failed: nothing that an alert could explain
  part(o.why);
}

/// Ends the connection of a refused client.
void listener_session::part(reason why) {
  if (why == reason::rate_limited)
    net::reset_on_close(client_->fd()); // as if nobody listened: it may come again
  if (!speaks_tls_ || why == reason::rate_limited)
    return close();
  end_flow();
  retire();
  in_.clear();
  ctx().adopt(std::make_unique<farewell>(ctx(), std::move(client_),
                                         wire::tls_alert_record{alert_of(why)}.view()));
}

} // namespace marchproxy::relay
