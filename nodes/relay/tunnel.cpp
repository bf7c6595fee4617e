// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/tunnel.hpp"

#include "nodes/relay/farewell.hpp"
#include "nodes/relay/judge_way.hpp"
#include "nodes/relay/server_name.hpp"

namespace marchproxy::relay {

tunnel::tunnel(context& c, parts p)
  : connection(c),
    client_(std::move(p.client)),
    upstream_(std::move(p.upstream)),
    record_(std::move(p.record)),
    backend_(std::move(p.backend)),
    admitted_(std::move(p.admitted)),
    up_(c.pools),
    down_(c.pools),
    up_before_(record_.bytes_up),
    down_before_(record_.bytes_down),
    peeks_(p.peeks),
    last_moved_(c.loop.now()),
    idle_([this] { on_timer(); }),
    again_([this] { advance(); }) {
  if (peeks_ && !p.early.empty())
    beginning_ = std::make_unique<beginning>(*this, std::move(p.early));
  else
    up_.bytes.preload(std::move(p.early));
}

void tunnel::start() {
  client_->set_owner(*this);
  upstream_->set_owner(*this);
  ctx().loop.arm(idle_, ctx().settings.idle_timeout);
  follow_limits();
  advance();
}

bool tunnel::run(direction& d, stream& from, stream& to, const direction& other) {
  if (d.ended)
    return true;
  switch (d.bytes.run(from, to)) {
  case pump_state::blocked:
  case pump_state::complete:
    return true;
  case pump_state::yielded:
    ctx().loop.soon(again_);
    return true;
  case pump_state::ended:
    d.ended = true;
    // When it is the second end, both sockets are closed next, which says the same to `to`.
    if (!other.ended)
      to.shut_down_write();
    return true;
  case pump_state::source_failed:
  case pump_state::sink_failed:
    return false;
  }
  return false;
}

bool tunnel::judge_beginning() {
  if (!beginning_ && !client_->readable())
    return true; // an idle tunnel costs no memory for what its client may say
  if (!beginning_)
    beginning_ = std::make_unique<beginning>(*this, buffer{ctx().pools.buffers});
  auto& peek = beginning_->peek;
  switch (peek.advance(*client_)) {
  case hello_peek::state::waiting:
    if (peek.begun() && !beginning_->late.armed())
      ctx().loop.arm(beginning_->late, ctx().settings.head_timeout);
    return true;
  case hello_peek::state::malformed:
    refuse(reason::bad_hello);
    return false;
  case hello_peek::state::gone:
    finish(true);
    return false;
  case hello_peek::state::hello: {
    const auto& hello = peek.hello();
    record_.sni = hello.server_name.name();
    auto refusal = judge_hello(ctx().snapshot.get(), record_, hello, ctx().settings);
    if (refusal && !refusal->allowed()) {
      refuse(*refusal);
      return false;
    }
    if (refusal && !record_.observed)
      ctx().observed(record_, *refusal);
    break;
  }
  case hello_peek::state::plain:
    break;
  }
  up_.bytes.preload(peek.take());
  beginning_.reset();
  peeks_ = false;
  return true;
}

void tunnel::refuse(reason why) {
  refuse(refused_for(ctx().snapshot.get(), why));
}

/// The upstream has got nothing of the client. The client is told in its own protocol, unless the
/// upstream has spoken already, into which an alert would not fit.
void tunnel::refuse(const judgement& j) {
  ctx().judged(record_, j);
  if (down_.bytes.moved() > 0)
    return finish(true);
  over_ = true;
  upstream_->close();
  ctx().end_flow(std::move(record_));
  ctx().retire(*this);
  ctx().adopt(std::make_unique<farewell>(ctx(), std::move(client_),
                                         wire::tls_alert_record{alert_of(j.why)}.view()));
}

void tunnel::advance() {
  if (over_ || (peeks_ && !judge_beginning()))
    return;
  const auto move_up = [&] { return peeks_ || run(up_, *client_, *upstream_, down_); };
  const auto move_down = [&] { return run(down_, *upstream_, *client_, up_); };
  down_first_ = pacer_ && !down_first_;
  auto alive = down_first_ ? move_down() && move_up() : move_up() && move_down();
  account();
  if (!alive)
    finish(true);
  else if (up_.ended && down_.ended)
    finish(false);
}

/// Its admission is another than before.
void tunnel::follow_limits() {
  if (admitted_.paced())
    pacer_ = std::make_unique<pacer>(ctx().loop, admitted_, [this] { ctx().loop.soon(again_); });
  up_.bytes.set_pacer(pacer_.get());
  down_.bytes.set_pacer(pacer_.get());
}

void tunnel::account() noexcept {
  auto up = up_before_ + up_.bytes.moved() - record_.bytes_up;
  auto down = down_before_ + down_.bytes.moved() - record_.bytes_down;
  if (up + down == 0)
    return;
  record_.bytes_up += up;
  record_.bytes_down += down;
  ctx().counters.bytes_up.add(up);
  ctx().counters.bytes_down.add(down);
  last_moved_ = ctx().loop.now();
}

void tunnel::on_timer() {
  // The timer is not touched by traffic; it looks when it fires.
  if (pacer_ && pacer_->waiting())
    last_moved_ = ctx().loop.now(); // it is we who let nothing pass
  auto quiet = ctx().loop.now() - last_moved_;
  if (quiet >= ctx().settings.idle_timeout)
    finish(false);
  else
    ctx().loop.arm(idle_, ctx().settings.idle_timeout - quiet);
}

void tunnel::on_new_revision() {
  const auto* now = ctx().snapshot.get();
  auto q = question_of(record_);
  auto j = judge_way(now, q, *record_.address);
  auto by_name = judge_server_name(now, record_, record_.sni);
  if (!j.allowed() || (by_name && !by_name->allowed())) {
    const auto why = j.allowed() ? by_name->why : j.why;
    if (!grace_.spares(record_, why, ctx().loop, [this] { cut(); }))
      cut();
    return;
  }
  grace_.end();
  record_.when_revoked = j.verdict.when_revoked;
  record_.drain_seconds = j.verdict.drain_seconds;
  if ((j.observed || by_name) && !record_.observed)
    ctx().observed(record_, j.observed ? j : *by_name);
  if (auto meters = meters_of(now, q, j.verdict.mapping, *record_.address);
      !admitted_.is_under(meters)) {
    pacer_.reset();
    admitted_ = limiting::admission::carry_on(meters, q.source, limiting::clock::now());
    follow_limits();
    ctx().loop.soon(again_);
  }
  // The client has said nothing yet, and what it says may matter now.
  if (record_.bytes_up == 0 && up_.bytes.idle() && hello_may_refuse(now, record_))
    peeks_ = true;
}

void tunnel::cut() {
  ctx().failed(record_, reason::revision_changed);
  finish(true);
}

void tunnel::abort() {
  ctx().failed(record_, reason::shutting_down);
  finish(true);
}

void tunnel::finish(bool reset) {
  if (over_)
    return;
  over_ = true;
  if (reset) {
    net::reset_on_close(client_->fd());
    net::reset_on_close(upstream_->fd());
  } else if (up_.bytes.idle() && down_.bytes.idle()) {
    client_->take_leave();
    upstream_->take_leave();
  }
  client_->close();
  upstream_->close();
  ctx().counters.open.sub();
  ctx().end_flow(std::move(record_));
  ctx().retire(*this);
}

} // namespace marchproxy::relay
