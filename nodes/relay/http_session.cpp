// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/http_session.hpp"

#include "nodes/relay/refusal.hpp"
#include "nodes/relay/resting_session.hpp"

#include <algorithm>

namespace marchproxy::relay {

namespace {

constexpr std::uint64_t max_discarded = std::uint64_t{256} * 1024;

} // namespace

http_session::http_session(context& c,
                           std::unique_ptr<stream> client,
                           const net::endpoint& peer,
                           buffer first,
                           const ip_address& sharer)
  : session(c, std::move(client), peer, std::move(first)),
    upstream_(c, *this, sharer),
    last_moved_(c.loop.now()),
    again_([this] { advance(); }) {}

void http_session::on_drain() {
  if (ctx().ends_idle_clients() && phase_ == phase::head && !head_begun_ && in_.empty())
    close();
}

void http_session::advance() {
  if (phase_ != phase::forwarding && phase_ != phase::replying)
    upstream_.drop_unless_quiet();
  auto more = true;
  while (more && !closed()) {
    switch (phase_) {
    case phase::head:
      more = read_head();
      break;
    case phase::routing:
      more = false;
      break;
    case phase::forwarding:
      more = forward();
      break;
    case phase::replying:
      more = reply();
      break;
    case phase::lingering:
      more = linger();
      break;
    }
  }
}

bool http_session::read_head() {
  auto found = scanner_.scan(in_.bytes());
  if (found.state == wire::parse_state::error) {
    may_keep_alive_ = false;
    refuse(reason::bad_request, wire::status_of(found.error), std::string{to_string(found.error)});
    return true;
  }
  if (found.state == wire::parse_state::complete) {
    auto e = ctx().request.parse(in_.bytes().substr(0, found.size));
    scanner_.reset();
    deadline_.disarm();
    if (e != wire::http1_error::none) {
      may_keep_alive_ = false;
      refuse(reason::bad_request, wire::status_of(e), std::string{to_string(e)});
    } else {
      const auto& head = ctx().request;
      may_keep_alive_ =
        head.keep_alive && head.body.kind == wire::body_kind::none && !ctx().draining;
      head_only_ = head.method == "HEAD";
      on_head(found.size);
    }
    // Everything wanted of the head was copied; a session that became a tunnel has given its bytes
    // away.
    return true;
  }
  if (!in_.empty() && !head_begun_) {
    head_begun_ = true;
    set_deadline(ctx().settings.head_timeout);
  }
  auto got = client_->read(in_);
  if (got.state == io_state::moved)
    return true;
  if (got.state != io_state::blocked) {
    upstream_.park();
    close();
  }
  return false;
}

void http_session::note_credentials(std::string_view field) {
  shown_ = {};
  if (auto shown = ctx().request.fields.find(field))
    // What cannot be read is shown all the same, and proves nothing: the answer says so only where
    // credentials matter.
    shown_ = identity::parse_proxy_authorization(*shown).value_or(identity::presented{"?", "?"});
}

bool http_session::reuse_upstream(const wire::host_port& target, const routing::backend_tls* tls) {
  question q{peer_.address, target.host.name(), target.port, &shown_, {}};
  auto j = upstream_.reuse(q, target, request_.may_repeat(), tls);
  reused_ = j && admit_reused(q, *j);
  if (!reused_)
    return false;
  flow_->address = upstream_.address();
  ctx().judged(*flow_, *j);
  return true;
}

/// If its limits refuse it, they will refuse it as a new connection too, and that is entered.
bool http_session::admit_reused(const question& q, const judgement& j) {
  auto meters = meters_of(ctx().snapshot.get(), q, j.verdict.mapping, upstream_.address());
  auto got = limiting::admission::admit(
    meters, q.source, {.connection = false, .request = !counted_}, limiting::clock::now());
  if (got)
    admitted_ = std::move(*got);
  return got.has_value();
}

void http_session::reply_then_tunnel() {
  phase_ = phase::replying;
  after_ = after::tunnel;
  set_deadline(ctx().settings.linger_timeout);
}

void http_session::reply_then_go_on() {
  end_flow();
  phase_ = phase::replying;
  after_ = may_keep_alive_ ? after::next_request : after::linger;
  set_deadline(ctx().settings.linger_timeout);
}

void http_session::begin_exchange() {
  phase_ = phase::forwarding;
  last_moved_ = ctx().loop.now();
  look_again(ctx().settings.idle_timeout);
  if (request_.authenticates_connection)
    upstream_.make_personal();
  if (admitted_.paced())
    pacer_ = std::make_unique<pacer>(ctx().loop, admitted_, [this] { ctx().loop.soon(again_); });
  exchange_ = std::make_unique<exchange>(ctx(), request_, in_, pacer_.get());
}

/// How long a client may say nothing in the middle of its body.
std::chrono::milliseconds http_session::body_patience() const {
  return std::min(ctx().settings.body_timeout, ctx().settings.idle_timeout);
}

void http_session::look_again(std::chrono::milliseconds limit) {
  auto has_body = request_.body.kind != wire::body_kind::none;
  set_deadline(has_body ? std::min(limit, body_patience()) : limit);
}

bool http_session::forward() {
  auto how = exchange_->advance(*client_, *upstream_.link());
  account();
  if (how == exchange::state::yielded)
    ctx().loop.soon(again_);
  if (how == exchange::state::running || how == exchange::state::yielded)
    return false;
  on_exchange_over(how);
  return true;
}

void http_session::on_exchange_over(exchange::state how) {
  auto over = std::move(exchange_);
  pacer_.reset();
  deadline_.disarm();
  if (how == exchange::state::done) {
    if (over->authenticates_connection())
      upstream_.make_personal();
    if (!over->upstream_reusable())
      upstream_.drop();
    on_answered();
    end_flow();
    if (over->client_reusable())
      return await_request();
    upstream_.park();
    phase_ = phase::replying;
    after_ = after::linger;
    return;
  }
  if (how == exchange::state::switched)
    return become_tunnel(upstream_.release(), std::move(in_), take_backend());
  upstream_.drop();
  if (how == exchange::state::no_answer) {
    if (try_again(*over))
      return;
    ctx().failed(*flow_, reason::upstream_failed);
    may_keep_alive_ = may_keep_alive_ && over->client_reusable();
    return refuse(reason::upstream_failed);
  }
  if (how == exchange::state::bad_body) {
    may_keep_alive_ = false;
    return refuse(reason::bad_request, 0, "the chunked body is malformed");
  }
  if (how == exchange::state::broken)
    ctx().failed(*flow_, reason::upstream_failed);
  // The client has part of an answer: a reset tells it that the rest does not follow.
  net::reset_on_close(client_->fd());
  close();
}

void http_session::account() {
  auto up = exchange_->bytes_up() - flow_->bytes_up;
  auto down = exchange_->bytes_down() - flow_->bytes_down;
  if (up + down == 0)
    return;
  flow_->bytes_up += up;
  flow_->bytes_down += down;
  ctx().counters.bytes_up.add(up);
  ctx().counters.bytes_down.add(down);
  last_moved_ = ctx().loop.now();
}

void http_session::await_request() {
  phase_ = phase::head;
  head_begun_ = false;
  awaits_next_ = true;
  if (ctx().ends_idle_clients() && in_.empty())
    return close();
  // Its upstream's state is the client's own: it cannot go on without it.
  set_deadline(may_rest() ? std::min(ctx().settings.rest_after, ctx().settings.keep_alive_timeout)
                          : ctx().settings.keep_alive_timeout);
}

/// Nothing came for a while: what is needed to wait on is less than a session.
void http_session::rest() {
  upstream_.park();
  auto& c = ctx();
  auto left = c.settings.keep_alive_timeout - c.settings.rest_after;
  retire();
  c.adopt(std::make_unique<resting_session>(c, std::move(client_), peer_, ingress_port(), held_to(),
                                            left));
}

void http_session::refuse(reason why, std::uint16_t status, std::string message) {
  if (!flow_)
    ctx().failed(flow_.emplace(new_record(came_by())), why);
  refusal r{why,    std::move(message), flow_->mapping, flow_->revision, flow_->request,
            status, may_keep_alive_,    head_only_,     beyond_};
  if (!r.revision && ctx().snapshot && ctx().snapshot->program)
    r.revision = ctx().snapshot->program->revision();
  write_refusal(reply_, r, ctx().snapshot.get());
  reply_then_go_on();
}

bool http_session::reply() {
  auto flushed = flush();
  if (flushed == io_state::failed) {
    close();
    return false;
  }
  if (flushed != io_state::moved)
    return false;
  switch (after_) {
  case after::tunnel:
    become_tunnel(upstream_.release(), std::move(in_), take_backend());
    return false;
  case after::next_request:
    await_request();
    return true;
  case after::linger:
    break;
  }
  // Closing with unread bytes would send a reset, which can overtake the answer.
  client_->shut_down_write();
  in_.clear();
  phase_ = phase::lingering;
  set_deadline(ctx().settings.linger_timeout);
  return true;
}

bool http_session::linger() {
  while (discarded_ < max_discarded) {
    auto got = client_->read(in_);
    if (got.state == io_state::blocked)
      return false;
    if (got.state != io_state::moved)
      break;
    discarded_ += got.bytes;
    in_.clear();
  }
  close();
  return false;
}

/// Nothing is armed again while bytes move: the deadline looks when it fires.
void http_session::on_forward_deadline() {
  if (pacer_ && pacer_->waiting())
    return look_again(ctx().settings.idle_timeout); // it is we who let nothing pass
  auto late_body = exchange_->awaits_body();
  auto patience = late_body ? body_patience() : ctx().settings.idle_timeout;
  auto quiet = ctx().loop.now() - last_moved_;
  if (quiet < patience)
    return look_again(std::chrono::ceil<std::chrono::milliseconds>(patience - quiet));
  if (exchange_->told() || !(late_body || exchange_->unanswered())) {
    net::reset_on_close(client_->fd());
    return close();
  }
  exchange_.reset();
  pacer_.reset();
  may_keep_alive_ = false;
  upstream_.drop();
  if (late_body) {
    refuse(reason::bad_request, 408, "the request body took too long");
  } else {
    ctx().failed(*flow_, reason::connect_timeout);
    refuse(reason::connect_timeout);
  }
  advance();
}

void http_session::on_deadline() {
  if (phase_ == phase::forwarding)
    return on_forward_deadline();
  if (phase_ == phase::head && awaits_next_ && !head_begun_ && may_rest()
      && ctx().settings.keep_alive_timeout > ctx().settings.rest_after)
    return rest();
  if (phase_ == phase::head && head_begun_) {
    may_keep_alive_ = false;
    refuse(reason::bad_request, 408, "the request head took too long");
    return advance();
  }
  close();
}

} // namespace marchproxy::relay
