// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/worker/pool.hpp"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace marchproxy::packet_worker {

namespace {

constexpr std::chrono::milliseconds grace{10'000};
/// Rounds without a frame before a worker waits in the kernel, where its ports allow that.
constexpr unsigned patience = 256;
/// A waiting worker looks after its ports now and then, sent frames that come back among them.
constexpr int longest_wait_ms = 100;

hash_seed random_seed() {
  hash_seed out{};
  MP_INVARIANT(::getrandom(out.data(), sizeof out, 0) == sizeof out);
  return out;
}

} // namespace

pool::pool(const pool_options& options, std::vector<std::vector<packet_port::port*>> ports)
  : shared_(ports.size()), cores_(options.cores), wake_(::eventfd(0, EFD_CLOEXEC)) {
  for (std::size_t i = 0; i < ports.size(); ++i)
    workers_.push_back(std::make_unique<worker>(
      shared_, worker_options{options.connections, options.connections_of_source, random_seed()},
      std::move(ports[i])));
}

pool::~pool() {
  stop();
}

result<void> pool::prepare(const std::shared_ptr<const policy::program>& program) {
  std::lock_guard change{changes_};
  staged_.reset();
  std::lock_guard guard{lock_};
  for (auto& w : workers_)
    if (auto ok = w->mappings().add(*program); !ok)
      return ok;
  staged_ = program;
  return {};
}

result<void> pool::retire(std::shared_ptr<const void> old) {
  kept_.push_back(std::move(old));
  if (auto passed = shared_.readers.wait(grace); !passed)
    return passed;
  kept_.clear();
  return {};
}

result<void> pool::commit() {
  std::lock_guard change{changes_};
  if (!staged_)
    return fail(errc::refused, "no revision is prepared");
  auto next = std::exchange(staged_, nullptr);
  auto limits = limit_book::build(*next, limits_.get(), limiting::clock::now());
  auto old =
    shared_.program.exchange(std::make_shared<const placed_program>(placed_program{next, limits}));
  {
    std::lock_guard guard{lock_};
    active_ = std::move(next);
    limits_ = std::move(limits);
  }
  auto passed = retire(std::move(old));
  drop_counters();
  return passed;
}

void pool::abort() noexcept {
  std::lock_guard change{changes_};
  staged_.reset();
  drop_counters();
}

/// Of mappings that the program in force does not have.
void pool::drop_counters() {
  using blocks = std::vector<std::unique_ptr<mapping_counters::block>>;
  auto unused = std::make_shared<std::vector<blocks>>();
  {
    std::lock_guard guard{lock_};
    for (auto& w : workers_)
      unused->push_back(w->mappings().keep_only(active_.get()));
  }
  if (std::any_of(unused->begin(), unused->end(), [](const auto& b) { return !b.empty(); }))
    static_cast<void>(retire(std::move(unused)));
}

std::shared_ptr<const policy::program> pool::active() const {
  std::lock_guard guard{lock_};
  return active_;
}

result<void> pool::set_table(std::shared_ptr<const forwarding::table> table) {
  std::lock_guard change{changes_};
  return retire(shared_.table.exchange(std::move(table)));
}

void pool::start() {
  stopping_ = false;
  for (std::size_t i = 0; i < workers_.size(); ++i)
    threads_.emplace_back([this, i] { run(i); });
}

void pool::stop() {
  stopping_ = true;
  ::eventfd_write(wake_.get(), 1);
  for (auto& t : threads_)
    t.join();
  threads_.clear();
  eventfd_t value = 0;
  ::eventfd_read(wake_.get(), &value);
}

std::size_t pool::turn() {
  std::size_t taken = 0;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    shared_.readers.enter(i);
    taken += workers_[i]->turn();
    shared_.readers.leave(i);
  }
  return taken;
}

void pool::run(std::size_t number) noexcept {
  auto& w = *workers_[number];
  if (number < cores_.size()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(cores_[number]), &set);
    ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
  }
  for (auto* p : w.ports())
    p->begin();
  auto may_wait = std::all_of(w.ports().begin(), w.ports().end(),
                              [](const auto* p) { return p->wait_descriptor() >= 0; });
  unsigned idle = 0;
  shared_.readers.enter(number);
  while (!stopping_.load(std::memory_order_relaxed)) {
    idle = w.turn() > 0 ? 0 : idle + 1;
    shared_.readers.pass(number);
    if (idle < patience || !may_wait)
      continue;
    shared_.readers.leave(number);
    wait_for_frames(w);
    shared_.readers.enter(number);
    idle = 0;
  }
  shared_.readers.leave(number);
}

void pool::wait_for_frames(const worker& w) const noexcept {
  constexpr std::size_t most = 65;
  std::array<pollfd, most> wanted{};
  wanted[0] = {wake_.get(), POLLIN, 0};
  auto count = std::min(w.ports().size(), most - 1);
  for (std::size_t i = 0; i < count; ++i)
    wanted[i + 1] = {w.ports()[i]->wait_descriptor(), POLLIN, 0};
  ::poll(wanted.data(), count + 1, longest_wait_ms);
}

mp_totals pool::totals() const {
  mp_totals out{};
  for (const auto& w : workers_) {
    auto each = w->totals();
    for (std::size_t i = 0; i < MP_TOTAL_COUNT; ++i)
      out.value[i] += each.value[i];
  }
  return out;
}

way_counters pool::ways() const {
  way_counters out;
  for (const auto& w : workers_) {
    auto each = w->ways();
    for (std::size_t i = 0; i < out.value.size(); ++i)
      out.value[i] += each.value[i];
  }
  return out;
}

std::uint64_t pool::connections_now() const {
  std::uint64_t out = 0;
  for (const auto& w : workers_)
    out += w->connections_now();
  return out;
}

std::uint64_t pool::evicted() const {
  std::uint64_t out = 0;
  for (const auto& w : workers_)
    out += w->evicted();
  return out;
}

std::unordered_map<mapping_id, mp_mapping_counters> pool::mapping_counters() const {
  std::lock_guard guard{lock_};
  std::unordered_map<mapping_id, mp_mapping_counters> out;
  if (active_)
    for (const auto& w : workers_)
      w->mappings().read(*active_, out);
  return out;
}

std::vector<tier_ebpf::limited_count> pool::limited() const {
  std::lock_guard guard{lock_};
  return limits_ ? limits_->read() : std::vector<tier_ebpf::limited_count>{};
}

std::size_t pool::drain_events(const std::function<void(const tier_ebpf::flow_event&)>& to,
                               std::size_t limit) {
  std::size_t taken = 0;
  for (auto& w : workers_)
    taken +=
      w->events().drain([&](const mp_event& e) { to(tier_ebpf::to_event(e)); }, limit - taken);
  return taken;
}

} // namespace marchproxy::packet_worker
