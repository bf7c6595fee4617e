// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/listener_session.hpp"

#include "nodes/relay/farewell.hpp"
#include "nodes/relay/named_http_session.hpp"
#include "nodes/relay/server_name.hpp"
#include "nodes/wire/auth_line.hpp"

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
  if (prompt_)
    return await_credentials();
  if (awaits_request_)
    return look_for_request();
  if (!peek_)
    return;
  switch (peek_->advance(*client_)) {
  case hello_peek::state::waiting:
    return;
  case hello_peek::state::plain:
    return on_plain();
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

void listener_session::on_plain() {
  in_ = peek_->take();
  peek_.reset();
  if (in_.empty())
    return go_by_target(); // and ended
  awaits_request_ = true;
  look_for_request();
}

void listener_session::look_for_request() {
  while (true) {
    switch (wire::begins_request(in_.bytes())) {
    case wire::parse_state::complete:
      return become_http();
    case wire::parse_state::error:
      return go_by_target();
    case wire::parse_state::need_more:
      break;
    }
    switch (client_->read(in_).state) {
    case io_state::moved:
      break;
    case io_state::blocked:
      return;
    case io_state::ended:
      return go_by_target();
    case io_state::failed:
      return close();
    }
  }
}

void listener_session::become_http() {
  auto flow = std::move(*flow_);
  flow_.reset();
  retire();
  ctx().adopt(std::make_unique<named_http_session>(ctx(), std::move(client_), peer_, std::move(in_),
                                                   way_.target, std::move(flow)));
}

void listener_session::on_hello(const wire::client_hello& hello) {
  if (hides_name(ctx().settings, hello, *way_.target.host.address())) {
    if (!refused_for(ctx().snapshot.get(), reason::ech_refused).allowed())
      return refuse(reason::ech_refused);
    return go_by_target(); // observed: where the address leads counts
  }
  if (hello.server_name.empty())
    return go_by_target();
  wire::host_port named{hello.server_name, way_.target.port};
  flow_->name = flow_->sni = hello.server_name.name();
  in_ = peek_->take();
  peek_.reset();
  seek_route({.target = named, .prefer = way_.target.host.address()});
}

/// As if there were no hello and no request, by the snapshot of now.
void listener_session::go_by_target(const identity::presented& shown) {
  awaits_request_ = false;
  if (peek_)
    in_ = peek_->take();
  peek_.reset();
  seek_route({.target = way_.target, .shown = shown}, way_.introduces);
}

/// The earlier proxies asked each client of such a mapping.
void listener_session::ask_for_credentials(route::outcome without) {
  without_ = std::move(without);
  prompt_.emplace(std::move(in_));
  reply_ = wire::auth_line::prompt;
  set_deadline(ctx().settings.head_timeout);
  advance();
}

void listener_session::await_credentials() {
  const auto asked = flush();
  if (asked == io_state::blocked)
    return;
  if (asked != io_state::moved)
    return give_up();
  switch (prompt_->advance(*client_)) {
  case credentials_prompt::state::waiting:
    return;
  case credentials_prompt::state::gone:
    return give_up();
  case credentials_prompt::state::shown:
    break;
  }
  const auto shown = prompt_->take_shown(ctx().snapshot.get());
  in_ = prompt_->take_rest();
  prompt_.reset();
  go_by_target(shown);
}

/// No credentials came.
void listener_session::give_up() {
  prompt_.reset();
  enter(*without_);
  part(without_->why);
}

void listener_session::on_deadline() {
  if (prompt_)
    return give_up();
  if (!peek_ || !peek_->begun())
    return go_by_target();
  speaks_tls_ = true;
  refuse(reason::bad_hello);
}

void listener_session::refuse(reason why) {
  ctx().judged(*flow_, refused_for(ctx().snapshot.get(), why));
  part(why);
}

void listener_session::on_routed(route::outcome o) {
  // Where that is observed nobody is asked: most clients would take it for the service's words.
  if (!o.verdict.allowed() && o.why == reason::auth_required && way_.via == entry::listener
      && !without_)
    return ask_for_credentials(std::move(o));
  enter(o);
  if (!o.upstream)
    return part(o.why);
  if (without_
      && client_->write(wire::auth_line::accepted).bytes != wire::auth_line::accepted.size())
    return close();
  become_tunnel(std::move(o.upstream), std::move(in_));
}

/// Ends the connection of a client whose flow was refused or failed.
void listener_session::part(reason why) {
  if (why == reason::rate_limited) {
    net::reset_on_close(client_->fd()); // as if nobody listened: it may come again
    return close();
  }
  std::string words;
  if (without_)
    words = failure_line(why, flow_->request);
  else if (speaks_tls_ && !flow_->allowed) // an alert could not explain a failure
    words = wire::tls_alert_record{alert_of(why)}.view();
  if (words.empty())
    return close();
  end_flow();
  retire();
  in_.clear();
  ctx().adopt(std::make_unique<farewell>(ctx(), std::move(client_), words));
}

} // namespace marchproxy::relay
