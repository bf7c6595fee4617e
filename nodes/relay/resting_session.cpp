// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/resting_session.hpp"

#include "nodes/relay/forward_session.hpp"
#include "nodes/relay/ingress_session.hpp"

#include <utility>

namespace marchproxy::relay {

resting_session::resting_session(context& c,
                                 std::unique_ptr<stream> client,
                                 const net::endpoint& peer,
                                 std::optional<std::uint16_t> ingress_port,
                                 std::shared_ptr<const routing::endpoint> held,
                                 std::chrono::milliseconds patience)
  : connection(c),
    client_(std::move(client)),
    peer_(peer),
    ingress_port_(ingress_port),
    held_(std::move(held)),
    patience_(patience),
    end_([this] { close(); }) {}

void resting_session::start() {
  client_->set_owner(*this);
  ctx().counters.resting.add();
  ctx().loop.arm(end_, patience_);
  on_ready();
}

void resting_session::on_ready() {
  if (over_)
    return;
  if (client_->broken())
    close();
  else if (!client_->quiet())
    wake();
}

void resting_session::on_drain() {
  if (ctx().ends_idle_clients())
    close();
}

void resting_session::wake() {
  auto& c = ctx();
  over_ = true;
  c.counters.resting.sub();
  end_.disarm();
  c.retire(*this);
  buffer none{c.pools.buffers};
  if (ingress_port_)
    c.adopt(std::make_unique<ingress_session>(c, std::move(client_), peer_, *ingress_port_,
                                              std::move(none), std::move(held_)));
  else
    c.adopt(std::make_unique<forward_session>(c, std::move(client_), peer_, std::move(none)));
}

void resting_session::close() {
  if (std::exchange(over_, true))
    return;
  end_.disarm();
  client_->take_leave();
  client_->close();
  ctx().counters.resting.sub();
  ctx().counters.open.sub();
  ctx().retire(*this);
}

} // namespace marchproxy::relay
