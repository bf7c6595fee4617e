// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/session.hpp"

#include "nodes/relay/forward_session.hpp"
#include "nodes/relay/introduction.hpp"
#include "nodes/relay/server_name.hpp"
#include "nodes/relay/socks_session.hpp"
#include "nodes/relay/tunnel.hpp"

namespace marchproxy::relay {

session::session(context& c,
                 std::unique_ptr<stream> client,
                 const net::endpoint& peer,
                 buffer first)
  : connection(c),
    client_(std::move(client)),
    peer_(peer),
    in_(std::move(first)),
    route_(c),
    deadline_([this] { on_deadline(); }) {}

void session::start() {
  client_->set_owner(*this);
  set_deadline(ctx().settings.head_timeout);
  advance();
}

void session::on_ready() {
  if (closed_)
    return;
  // Reset by the client: there is nobody left to serve.
  if (client_->broken())
    return close();
  advance();
}

void session::begin_flow(entry via, const wire::host_port& target) {
  flow_ = new_record(via);
  flow_->asked = target.text();
  beyond_.reset();
  aim(target);
}

void session::aim(const wire::host_port& target) {
  flow_->name = target.host.name();
  flow_->address = target.host.address();
  flow_->lease_ends.reset();
  flow_->port = target.port;
}

void session::enter(route::outcome& o) {
  admitted_ = std::move(o.admitted);
  beyond_ = o.verdict.limit;
  ctx().judged(*flow_, o.verdict);
  if (o.address) {
    flow_->address = o.address;
    flow_->lease_ends = o.lease_ends;
  }
  if (o.why != o.verdict.why)
    ctx().failed(*flow_, o.why);
}

std::string session::introduction(model::proxy_header as) const {
  return as == model::proxy_header::off
           ? std::string{}
           : introduction_of(as, peer_, net::local_endpoint(client_->fd()));
}

void session::seek_route(route::demand d, model::proxy_header as) {
  deadline_.disarm();
  d.source = peer_.address;
  d.wants = asks_for();
  d.greeting = introduction(as);
  route_.start(std::move(d), [this](route::outcome o) { on_routed(std::move(o)); });
}

void session::find_route(const wire::host_port& target,
                         const identity::presented& shown,
                         const std::optional<ip_address>& prefer) {
  deadline_.disarm();
  route_.start({.source = peer_.address,
                .target = target,
                .shown = shown,
                .prefer = prefer,
                .wants = asks_for()},
               [this](route::outcome o) {
                 enter(o);
                 on_routed(std::move(o));
               });
}

void session::end_flow() {
  if (flow_)
    ctx().end_flow(std::move(*flow_));
  flow_.reset();
  admitted_ = {};
}

void session::retire() {
  closed_ = true;
  deadline_.disarm();
  ctx().retire(*this);
}

void session::become_tunnel(std::unique_ptr<stream> upstream,
                            buffer early,
                            routing::endpoint::use backend) {
  retire();
  auto& c = ctx();
  // What comes in names a server of ours.
  auto peeks = flow_->via != entry::ingress && hello_may_refuse(c.snapshot.get(), *flow_);
  c.adopt(std::make_unique<tunnel>(c, tunnel::parts{std::move(client_), std::move(upstream),
                                                    std::move(*flow_), std::move(early), peeks,
                                                    std::move(backend), std::move(admitted_)}));
  flow_.reset();
}

io_state session::flush() {
  std::string_view left = reply_;
  while (!left.empty()) {
    auto out = client_->write(left);
    if (out.state != io_state::moved) {
      reply_.erase(0, reply_.size() - left.size());
      return out.state;
    }
    left.remove_prefix(out.bytes);
  }
  reply_.clear();
  return io_state::moved;
}

void session::close() {
  if (closed_)
    return;
  closed_ = true;
  deadline_.disarm();
  route_.cancel();
  if (!flow_)
    client_->take_leave();
  end_flow();
  client_->close();
  in_.clear();
  ctx().counters.open.sub();
  ctx().retire(*this);
}

void session::abort() {
  if (flow_)
    ctx().failed(*flow_, reason::shutting_down);
  close();
}

void sniff_session::start() {
  if (!client_->watch(*this))
    return close();
  set_deadline(ctx().settings.head_timeout);
  advance();
}

void sniff_session::advance() {
  if (in_.empty()) {
    auto got = client_->read(in_);
    if (got.state == io_state::blocked)
      return;
    if (got.state != io_state::moved)
      return close();
  }
  auto& c = ctx();
  retire();
  // The client is moved out, so this session, which lives until the turn ends, cannot touch it any
  // more.
  std::unique_ptr<session> next;
  if (in_.bytes().front() == '\x05')
    next = std::make_unique<socks_session>(c, std::move(client_), peer_, std::move(in_));
  else
    next = std::make_unique<forward_session>(c, std::move(client_), peer_, std::move(in_));
  c.adopt(std::move(next));
}

} // namespace marchproxy::relay
