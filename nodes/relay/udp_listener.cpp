// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/udp_listener.hpp"

#include <utility>

namespace marchproxy::relay {

namespace {

constexpr int reads_a_turn = 4;
constexpr std::size_t datagrams_waiting = 4 << 20; ///< bytes

bool is_any(const ip_address& address) noexcept {
  return address == ip_address{.family = address.family};
}

udp_session& session(udp_session_entry& e) noexcept {
  return static_cast<udp_session&>(e);
}

} // namespace

result<udp_listener*> udp_listener::open(context& c, plan p) {
  std::unique_ptr<udp_listener> out{new udp_listener{c, std::move(p)}};
  if (auto added = c.loop.add(out->socket_.get(), EPOLLIN, *out); !added)
    return tl::unexpected(added.error());
  auto* opened = out.get();
  opened->reading_ = true;
  c.adopt(std::move(out));
  return opened;
}

udp_listener::udp_listener(context& c, plan p)
  : connection(c),
    socket_(std::move(p.socket)),
    via_(p.via),
    target_(p.target),
    at_(net::local_endpoint(socket_.get())),
    sessions_({c.settings.max_udp_sessions, c.settings.max_udp_sessions_of_source}, p.seed),
    stale_([this] { end_stale(); }) {
  net::widen_receive_buffer(socket_.get(), datagrams_waiting, net::widening::by_broker);
  if (c.udp_offload.receive)
    net::join_segments(socket_.get());
  if (!target_)
    net::tell_original_destination(socket_.get());
  else if (is_any(at_.address))
    net::tell_destination(socket_.get());
}

udp_listener::~udp_listener() {
  stop_reading();
}

void udp_listener::stop_reading() noexcept {
  if (std::exchange(reading_, false))
    ctx().loop.remove(socket_.get(), *this);
}

void udp_listener::on_io(std::uint32_t /*events*/) {
  for (int i = 0; i < reads_a_turn; ++i) {
    const auto batch = ctx().datagrams().read(socket_.get());
    take(batch);
    if (batch.size() < net::datagram_batch)
      return;
  }
}

void udp_listener::take(std::span<const net::datagram> batch) {
  batch_ = batch;
  last_ = nullptr;
  for (std::size_t i = 0; i < batch.size(); ++i)
    take_one(i);
  send_up();
}

void udp_listener::take_one(std::size_t at) {
  const auto& d = batch_[at];
  auto* s = session_of(d);
  if (s == nullptr || s->now() == udp_flow::state::refused) {
    drop(d);
    if (s != nullptr)
      sessions_.used(*s, ctx().loop.now());
    return;
  }
  if (s->now() == udp_flow::state::asking)
    return s->hold(d);
  next_[at] = -1;
  auto& chain = s->in_batch;
  if (chain.first < 0) {
    touched_[touched_count_++] = s;
    chain.first = static_cast<int>(at);
  } else {
    next_[static_cast<std::size_t>(chain.last)] = static_cast<int>(at);
  }
  chain.last = static_cast<int>(at);
}

udp_session* udp_listener::session_of(const net::datagram& d) {
  const udp_session_key key{d.from, d.to};
  if (last_ != nullptr && last_->key() == key)
    return last_;
  if (auto* found = sessions_.find(key))
    return last_ = &session(*found);
  return last_ = begin_session(key);
}

udp_session* udp_listener::begin_session(const udp_session_key& key) {
  // Somebody who came to this port by itself: going on to where it "meant" to go would lead here
  // again, and again.
  if (!target_ && key.to.port == at_.port)
    return nullptr;
  if (auto room = sessions_.room_for(key.client.address); !room.free) {
    // From one of our own addresses it may be what another listener of ours sends on, in a circle
    // that ends only if nobody makes room for it.
    const auto& here = key.to == net::endpoint{} ? at_.address : key.to.address;
    if (room.instead == nullptr || key.client.address == here)
      return nullptr;
    send_up(); // it may have a part in this batch
    ctx().counters.udp_evicted.add();
    erase(*room.instead);
  }
  const auto meant = wire::host_port{wire::host{key.to.address}, key.to.port};
  auto made = std::make_unique<udp_session>(
    ctx(), *this,
    udp_session::plan{key, via_, target_.value_or(meant), at_, target_ ? nullptr : &answers_});
  auto* s = made.get();
  const auto first = sessions_.size() == 0;
  sessions_.insert(std::move(made), ctx().loop.now());
  if (first)
    ctx().loop.arm(stale_, ctx().settings.udp_idle_timeout);
  s->start();
  return s;
}

/// What was sorted goes on, session by session.
void udp_listener::send_up() {
  for (std::size_t i = 0; i < touched_count_; ++i) {
    auto& s = *touched_[i];
    s.begin_up();
    for (auto at = s.in_batch.first; at >= 0; at = next_[static_cast<std::size_t>(at)])
      s.up(batch_[static_cast<std::size_t>(at)]);
    s.finish_up();
    s.in_batch = {};
    sessions_.used(s, ctx().loop.now());
    if (s.answered())
      sessions_.establish(s);
  }
  touched_count_ = 0;
}

void udp_listener::drop(const net::datagram& d) noexcept {
  ctx().counters.udp_dropped.add(d.count());
}

void udp_listener::on_answer(udp_session& s) {
  sessions_.used(s, ctx().loop.now());
}

void udp_listener::erase(udp_session_entry& s) {
  last_ = nullptr;
  sessions_.erase(s);
}

void udp_listener::end_sessions(reason why) {
  sessions_.for_each([&](udp_session_entry& s) {
    session(s).fail(why);
    erase(s);
  });
}

void udp_listener::end_stale() {
  const auto limit = ctx().settings.udp_idle_timeout;
  while (auto* first = sessions_.oldest()) {
    if (const auto silent = ctx().loop.now() - first->last_use(); silent < limit)
      return ctx().loop.arm(stale_, limit - silent);
    erase(*first);
  }
  end_when_empty();
}

void udp_listener::on_new_revision() {
  // What was refused may be allowed now: it is asked about anew with its next datagram.
  sessions_.for_each([&](udp_session_entry& s) {
    session(s).judge_again();
    if (session(s).now() == udp_flow::state::refused)
      erase(s);
  });
  end_when_empty();
}

void udp_listener::lead_to(const wire::host_port& target) {
  end_sessions(reason::revision_changed);
  target_ = target;
}

void udp_listener::close() {
  end(reason::revision_changed);
}

void udp_listener::on_drain() {
  if (!ctx().patient)
    return end(reason::shutting_down);
  stop_reading();
  end_when_empty();
}

/// After on_drain() no session comes any more.
void udp_listener::end_when_empty() {
  if (ctx().draining && sessions_.size() == 0)
    end(reason::shutting_down);
}

void udp_listener::end(reason why) {
  if (std::exchange(over_, true))
    return;
  end_sessions(why);
  stale_.disarm();
  stop_reading();
  socket_.reset();
  ctx().retire(*this);
}

} // namespace marchproxy::relay
