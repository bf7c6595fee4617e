// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/tunnel.hpp"

namespace marchproxy::relay {

tunnel::tunnel(context& c, parts p)
  : connection(c),
    client_(std::move(p.client)),
    upstream_(std::move(p.upstream)),
    record_(std::move(p.record)),
    up_(c.pools),
    down_(c.pools),
    up_before_(record_.bytes_up),
    down_before_(record_.bytes_down),
    last_moved_(c.loop.now()),
    idle_([this] { on_timer(); }),
    again_([this] { advance(); }) {
  up_.bytes.preload(std::move(p.early));
}

void tunnel::start() {
  client_->set_owner(*this);
  upstream_->set_owner(*this);
  ctx().loop.arm(idle_, ctx().settings.idle_timeout);
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

void tunnel::advance() {
  if (over_)
    return;
  auto alive = run(up_, *client_, *upstream_, down_) && run(down_, *upstream_, *client_, up_);
  account();
  if (!alive)
    finish(true);
  else if (up_.ended && down_.ended)
    finish(false);
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
  auto quiet = ctx().loop.now() - last_moved_;
  if (quiet >= ctx().settings.idle_timeout)
    finish(false);
  else
    ctx().loop.arm(idle_, ctx().settings.idle_timeout - quiet);
}

void tunnel::on_new_revision() {
  question q{record_.source.address, record_.name, record_.port, nullptr, {}};
  if (record_.identity)
    q.proven = identity::authenticated{record_.identity, record_.credential};
  if (!judge_address(ctx().snapshot.get(), q, *record_.address).allowed()) {
    ctx().failed(record_, reason::revision_changed);
    finish(true);
  }
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
  }
  client_->close();
  upstream_->close();
  ctx().counters.open.sub();
  ctx().end_flow(std::move(record_));
  ctx().retire(*this);
}

} // namespace marchproxy::relay
