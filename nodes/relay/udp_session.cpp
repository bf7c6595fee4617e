// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/udp_session.hpp"

#include <algorithm>

namespace marchproxy::relay {

namespace {

/// Nothing can be shown in a datagram: a mapping that asks for credentials refuses.
const identity::presented nothing_shown;

constexpr std::size_t answers_waiting = 1 << 20; ///< bytes of one session
constexpr int reads_a_turn = 4;
constexpr std::chrono::microseconds close_together{50};

std::uint16_t most_segment(const context& c) noexcept {
  return c.udp_offload.send ? net::run_writer::any_segment : std::uint16_t{0};
}

} // namespace

udp_session::udp_session(context& c, udp_session_owner& owner, const plan& p)
  : udp_session_entry(p.key),
    context_(c),
    owner_(owner),
    listening_(p.listening),
    answer_sockets_(p.answer_from),
    flow_(c, p.via, p.key.client, p.target, nothing_shown),
    most_up_(most_segment(c)),
    most_down_(most_up_) {
  context_.counters.udp_sessions.add();
}

udp_session::~udp_session() {
  context_.counters.udp_sessions.sub();
  // What was sent after the last word of the kernel's was not refused.
  if (unreachable_ && *unreachable_ >= last_sent_)
    fail(answered() ? reason::upstream_failed : reason::connect_failed);
  if (upstream_)
    context_.loop.remove(upstream_.get(), *this);
}

void udp_session::start() {
  flow_.start([this] { on_settled(); });
}

void udp_session::judge_again() {
  if (flow_.now() == udp_flow::state::open)
    flow_.judge_again();
}

void udp_session::fail(reason why) {
  unreachable_.reset(); // a flow has one reason
  if (flow_.now() == udp_flow::state::open)
    flow_.fail(why);
}

void udp_session::on_settled() {
  if (flow_.now() != udp_flow::state::open)
    return;
  if (!open_upstream()) {
    upstream_.reset();
    unreachable_ = context_.loop.now();
  }
  const auto held = flow_.take_held();
  begin_up();
  for (const auto& bytes : held)
    up({.from = {}, .to = {}, .bytes = bytes});
  finish_up();
}

bool udp_session::open_upstream() {
  if (answer_sockets_ != nullptr) {
    auto answers = answer_sockets_->at(key().to);
    if (!answers)
      return false;
    answers_ = std::move(*answers);
  }
  auto made = net::connect_udp(flow_.to());
  if (!made)
    return false;
  upstream_ = std::move(*made);
  if (leads_back() || !context_.loop.add(upstream_.get(), EPOLLIN, *this))
    return false;
  net::widen_receive_buffer(upstream_.get(), answers_waiting);
  if (context_.udp_offload.receive)
    net::join_segments(upstream_.get());
  return true;
}

/// Whether the target is the very socket that the client sent to: each datagram would come back as
/// another client's. A local target is reached from an address of the host's.
bool udp_session::leads_back() const noexcept {
  const auto to = flow_.to();
  return to.port == listening_.port
         && (to.address == listening_.address
             || net::local_endpoint(upstream_.get()).address == to.address);
}

void udp_session::hold(const net::datagram& d) {
  d.for_each([this](std::string_view bytes) { flow_.hold(bytes); });
}

void udp_session::begin_up() noexcept {
  context_.runs().begin({.fd = upstream_.get(), .most_segment = most_up_});
  written_ = 0;
}

void udp_session::up(const net::datagram& d) {
  if (upstream_)
    written_ += write(d);
  else
    context_.counters.udp_dropped.add(d.count());
}

std::size_t udp_session::write(const net::datagram& d) {
  auto& writer = context_.runs();
  if (!flow_.metered()) {
    writer.add(d.bytes, d.segment);
    return d.count();
  }
  std::size_t out = 0;
  d.for_each([&](std::string_view bytes) {
    if (!flow_.lets_pass(bytes.size()))
      return;
    writer.add(bytes, 0);
    ++out;
  });
  return out;
}

net::run_writer::tally udp_session::settle(std::size_t added, std::uint16_t& most) noexcept {
  const auto out = context_.runs().finish();
  most = out.most_segment;
  context_.counters.udp_dropped.add(added - out.datagrams);
  return out;
}

void udp_session::finish_up() noexcept {
  const auto sent = settle(written_, most_up_);
  if (sent.error != 0)
    unreachable_ = context_.loop.now();
  if (sent.datagrams == 0)
    return;
  last_sent_ = context_.loop.now();
  flow_.count_up(sent.bytes, sent.datagrams);
}

void udp_session::on_io(std::uint32_t /*events*/) {
  for (int i = 0; i < reads_a_turn && answer() == net::datagram_batch; ++i) {
  }
}

/// One answer at a time is the rule, and to ask for another that is not there costs. So more are
/// asked for only of a target that sends them close together.
void udp_session::expect(std::size_t answers) noexcept {
  const auto now = context_.loop.now();
  if (answers < expected_)
    expected_ = answers <= 1 ? 1 : 2 * answers;
  else if (now - last_read_ < close_together)
    expected_ = 4 * answers;
  expected_ = std::min(expected_, net::datagram_batch);
  last_read_ = now;
}

/// Takes what the target has sent, some at a time, to the client. @return how much that was
std::size_t udp_session::answer() {
  auto& reader = context_.datagrams();
  const auto batch = reader.read(upstream_.get(), expected_);
  expect(batch.size());
  if (reader.error() != 0)
    unreachable_ = context_.loop.now();
  if (batch.empty())
    return 0;
  unreachable_.reset();
  if (flow_.now() != udp_flow::state::open) { // a revision has refused it meanwhile
    for (const auto& d : batch)
      context_.counters.udp_dropped.add(d.count());
    return batch.size();
  }
  const auto to = net::to_socket_address(key().client);
  const auto tells = !answers_ && key().to != net::endpoint{};
  context_.runs().begin({.fd = answers_ ? answers_->get() : owner_.answering_socket(),
                         .to = &to,
                         .from = tells ? &key().to.address : nullptr,
                         .most_segment = most_down_});
  std::size_t added = 0;
  for (const auto& d : batch)
    added += write(d);
  const auto sent = settle(added, most_down_);
  flow_.count_down(sent.bytes, sent.datagrams);
  answered_ = true;
  owner_.on_answer(*this);
  return batch.size();
}

} // namespace marchproxy::relay
