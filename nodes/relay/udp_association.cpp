// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/udp_association.hpp"

#include "nodes/wire/socks5.hpp"

#include <algorithm>
#include <array>

namespace marchproxy::relay {

namespace socks5 = wire::socks5;

std::size_t udp_association::endpoint_hash::operator()(const net::endpoint& e) const noexcept {
  std::string_view bytes{reinterpret_cast<const char*>(e.address.bytes.data()),
                         e.address.bytes.size()};
  return std::hash<std::string_view>{}(bytes) ^ (std::size_t{e.port} * 0x9e3779b97f4a7c15U);
}

udp_association::udp_association(context& c, parts p)
  : connection(c),
    control_(std::move(p.control)),
    client_(p.client),
    shown_(std::move(p.shown)),
    towards_client_([this] { on_client(); }),
    v4_([this] { on_upstream(v4_); }),
    v6_([this] { on_upstream(v6_); }),
    stale_([this] { drop_stale(); }) {
  towards_client_.fd = std::move(p.socket);
}

udp_association::~udp_association() {
  unwatch(towards_client_);
  unwatch(v4_.socket);
  unwatch(v6_.socket);
}

bool udp_association::watch(socket_watch& s) {
  s.watched = ctx().loop.add(s.fd.get(), EPOLLIN, s).has_value();
  return s.watched;
}

void udp_association::unwatch(socket_watch& s) noexcept {
  if (std::exchange(s.watched, false))
    ctx().loop.remove(s.fd.get(), s);
  s.fd.reset();
}

void udp_association::start() {
  control_->set_owner(*this);
  if (!watch(towards_client_))
    return finish();
  ctx().loop.arm(stale_, ctx().settings.udp_idle_timeout);
  on_ready();
}

void udp_association::on_ready() {
  if (over_)
    return;
  // Nothing is meant to come here; when the connection ends, so does the association.
  std::array<char, 256> unused{};
  while (true) {
    auto got = control_->read(unused);
    if (got.state == io_state::blocked)
      return;
    if (got.state != io_state::moved)
      return finish();
  }
}

void udp_association::on_client() {
  for (const auto& d : ctx().datagrams().read(towards_client_.fd.get()))
    on_client_datagram(d);
  flush();
}

void udp_association::on_client_datagram(const net::datagram& d) {
  if (d.from.address != client_.address || (client_.port != 0 && d.from.port != client_.port)) {
    ctx().counters.udp_dropped.add();
    return;
  }
  auto parsed = socks5::parse_datagram(d.bytes);
  auto* f = parsed ? flow_to(parsed->target) : nullptr;
  client_.port = d.from.port;
  if (f == nullptr)
    f = parsed ? begin_flow(parsed->target) : nullptr;
  if (f == nullptr || f->now() == udp_flow::state::refused)
    ctx().counters.udp_dropped.add();
  else if (f->now() == udp_flow::state::asking)
    f->hold(parsed->data);
  else
    send_up(*f, parsed->data);
}

udp_flow* udp_association::flow_to(const wire::host_port& target) {
  if (const auto& address = target.host.address()) {
    auto found = by_address_.find({*address, target.port});
    return found == by_address_.end() ? nullptr : found->second;
  }
  auto found = by_name_.find(std::pair{target.host.name(), target.port});
  return found == by_name_.end() ? nullptr : found->second;
}

udp_flow* udp_association::begin_flow(const wire::host_port& target) {
  if (flows_.size() >= max_flows)
    return nullptr;
  flows_.push_back(std::make_unique<udp_flow>(ctx(), entry::socks5_udp, client_, target, shown_));
  auto* f = flows_.back().get();
  if (const auto& address = target.host.address())
    by_address_[{*address, target.port}] = f;
  else
    by_name_[name_key{std::string{target.host.name()}, target.port}] = f;
  f->start([this, f] { on_settled(*f); });
  return f;
}

void udp_association::on_settled(udp_flow& f) {
  if (f.now() != udp_flow::state::open)
    return;
  senders_[f.to()] = &f;
  auto held = f.take_held();
  for (const auto& bytes : held)
    send_up(f, bytes);
  if (!held.empty())
    flush();
}

void udp_association::send_up(udp_flow& f, std::string_view bytes) {
  auto to = f.to();
  auto* by = upstream_of(to.address.family);
  if (by == nullptr)
    return ctx().counters.udp_dropped.add();
  if (!f.lets_pass(bytes.size()))
    return;
  by->out.add(to, {}, bytes);
  f.count_up(bytes.size());
  if (by->out.full())
    flush();
}

udp_association::upstream* udp_association::upstream_of(ip_family family) {
  auto& by = family == ip_family::v4 ? v4_ : v6_;
  if (by.socket.fd)
    return &by;
  auto any = family == ip_family::v4 ? ip_address::v4(0) : ip_address::v6({});
  auto made = net::bind_udp({any, 0});
  if (!made)
    return nullptr;
  by.socket.fd = std::move(*made);
  if (watch(by.socket))
    return &by;
  by.socket.fd.reset();
  return nullptr;
}

void udp_association::on_upstream(upstream& from) {
  for (const auto& d : ctx().datagrams().read(from.socket.fd.get())) {
    auto found = senders_.find(d.from);
    if (found == senders_.end() || found->second->now() != udp_flow::state::open) {
      ctx().counters.udp_dropped.add();
      continue;
    }
    if (!found->second->lets_pass(d.bytes.size()))
      continue;
    found->second->count_down(d.bytes.size());
    down_.add(client_, socks5::datagram_head(d.from.address, d.from.port).view(), d.bytes);
  }
  down_.send(towards_client_.fd.get());
}

void udp_association::flush() {
  v4_.out.send(v4_.socket.fd.get());
  v6_.out.send(v6_.socket.fd.get());
}

void udp_association::forget(const udp_flow& f) {
  std::erase_if(senders_, [&](const auto& each) { return each.second == &f; });
  std::erase_if(by_address_, [&](const auto& each) { return each.second == &f; });
  std::erase_if(by_name_, [&](const auto& each) { return each.second == &f; });
}

void udp_association::drop_stale() {
  auto limit = ctx().settings.udp_idle_timeout;
  ctx().loop.arm(stale_, limit / 4);
  std::erase_if(flows_, [&](const std::unique_ptr<udp_flow>& f) {
    if (ctx().loop.now() - f->last_moved() < limit)
      return false;
    forget(*f);
    return true;
  });
}

void udp_association::on_new_revision() {
  // What was refused may be allowed now: it is asked about anew with its next datagram.
  std::erase_if(flows_, [&](const std::unique_ptr<udp_flow>& f) {
    if (f->now() == udp_flow::state::open)
      f->judge_again();
    if (f->now() != udp_flow::state::refused)
      return false;
    forget(*f);
    return true;
  });
}

void udp_association::abort() {
  for (auto& f : flows_)
    f->fail(reason::shutting_down);
  finish();
}

void udp_association::finish() {
  if (std::exchange(over_, true))
    return;
  stale_.disarm();
  unwatch(towards_client_);
  unwatch(v4_.socket);
  unwatch(v6_.socket);
  control_->close();
  by_address_.clear();
  by_name_.clear();
  senders_.clear();
  flows_.clear();
  ctx().counters.open.sub();
  ctx().retire(*this);
}

} // namespace marchproxy::relay
