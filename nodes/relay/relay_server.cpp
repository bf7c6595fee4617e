// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/relay_server.hpp"

#include "nodes/relay/worker.hpp"

#include <algorithm>
#include <random>

namespace marchproxy::relay {

namespace {

/// A worker's ring (relay_settings::record_ring) has room for what ends meanwhile.
constexpr std::chrono::milliseconds records_pause{5};

} // namespace

result<std::unique_ptr<relay_server>>
relay_server::start(relay_settings settings, observers who, std::vector<net::unique_fd> inherited) {
  std::unique_ptr<relay_server> out{
    new relay_server{std::move(settings), std::move(who), std::move(inherited)}};
  if (auto opened = out->open(); !opened)
    return tl::unexpected(opened.error());
  return out;
}

relay_server::relay_server(relay_settings settings,
                           observers who,
                           std::vector<net::unique_fd> inherited)
  : settings_(std::move(settings)), observers_(std::move(who)), sockets_(std::move(inherited)) {}

relay_server::~relay_server() {
  stop(std::chrono::milliseconds{0});
}

result<void> relay_server::choose_backend() {
  if (settings_.io == io_choice::epoll)
    return {};
  auto tried = net::ring::probe();
  if (tried) {
    waits_by_ = net::loop_backend::io_uring;
    return {};
  }
  if (settings_.io == io_choice::io_uring)
    return tl::unexpected(tried.error());
  no_ring_because_ = tried.error().message;
  return {};
}

result<void> relay_server::open() {
  if (auto chosen = choose_backend(); !chosen)
    return chosen;
  const auto waits = !sockets_.empty(); // the process before serves until we can
  std::random_device random;
  auto at = settings_.proxy_listen;
  for (unsigned i = 0; i < std::max(settings_.workers, 1U); ++i) {
    net::unique_fd proxy;
    if (!settings_.ingress) {
      auto fd = sockets_.listen(at);
      if (!fd)
        return tl::unexpected(fd.error());
      at = net::local_endpoint(fd->get()); // the first may have chosen the port
      port_ = at.port;
      proxy = std::move(*fd);
    }
    auto transparent = listen_transparent(&socket_source::listen);
    if (!transparent)
      return tl::unexpected(transparent.error());
    // Where NAT redirects a datagram, nothing says where it was meant to go.
    auto transparent_udp = settings_.tproxy ? listen_transparent(&socket_source::bind)
                                            : result<std::vector<net::unique_fd>>{};
    if (!transparent_udp)
      return tl::unexpected(transparent_udp.error());
    auto seed = static_cast<std::uint64_t>(random()) << 32 | random();
    auto started = worker::start({settings_, snapshots_, sockets_, observers_.on_problem,
                                  [this] {
                                    records_signal_.fetch_add(1, std::memory_order_release);
                                    records_signal_.notify_one();
                                  },
                                  std::move(proxy), std::move(*transparent),
                                  std::move(*transparent_udp), waits_by_, waits, seed, i == 0});
    if (!started)
      return tl::unexpected(started.error());
    workers_.push_back(std::move(*started));
  }
  records_thread_ = std::thread{[this] { drain_records(); }};
  return {};
}

result<std::vector<net::unique_fd>> relay_server::listen_transparent(listen_on how) {
  std::vector<net::unique_fd> out;
  for (const auto& at : settings_.transparent_listen) {
    auto fd = (sockets_.*how)(at, settings_.tproxy);
    if (!fd)
      return tl::unexpected(fd.error());
    out.push_back(std::move(*fd));
  }
  return out;
}

void relay_server::publish(std::shared_ptr<const policy_snapshot> next) {
  snapshots_.publish(std::move(next));
  for (auto& w : workers_)
    w->wake();
}

bool relay_server::in_force() const noexcept {
  auto version = snapshots_.version();
  return std::all_of(workers_.begin(), workers_.end(),
                     [&](const auto& w) { return w->version_in_force() >= version; });
}

relay_totals relay_server::totals() const {
  relay_totals sum;
  for (const auto& w : workers_)
    w->add_to(sum);
  const auto& leases = *settings_.resolver.leases;
  sum.lookups.leases = leases.count(net::clock::now());
  sum.lookups.evicted = leases.evicted();
  return sum;
}

void relay_server::drain_records() {
  while (true) {
    auto seen = records_signal_.load(std::memory_order_acquire);
    auto ending = records_end_.load(std::memory_order_acquire);
    auto any = false;
    for (auto& w : workers_)
      for (decision_record record; w->records().pop(record); any = true)
        observers_.on_record(record);
    if (ending)
      return;
    // While flows end all the time the workers need not wake anybody: this thread comes by itself.
    if (any)
      std::this_thread::sleep_for(records_pause);
    else
      records_signal_.wait(seen, std::memory_order_acquire);
  }
}

std::vector<net::unique_fd> relay_server::listening() {
  std::vector<net::unique_fd> out;
  for (auto& w : workers_)
    for (auto& fd : w->listening())
      out.push_back(std::move(fd));
  // A process of an older version does not tell them apart, and takes the first of an address.
  std::stable_partition(out.begin(), out.end(),
                        [](const net::unique_fd& fd) { return !net::is_datagram(fd.get()); });
  return out;
}

void relay_server::retire(std::chrono::milliseconds limit) {
  for (auto& w : workers_)
    w->drain(limit, true);
}

bool relay_server::drained() const noexcept {
  return std::all_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->ended(); });
}

void relay_server::stop(std::chrono::milliseconds grace) {
  if (std::exchange(stopped_, true))
    return;
  for (auto& w : workers_)
    w->drain(grace, false);
  for (auto& w : workers_)
    w->join();
  records_end_.store(true, std::memory_order_release);
  records_signal_.fetch_add(1, std::memory_order_release);
  records_signal_.notify_one();
  if (records_thread_.joinable())
    records_thread_.join();
}

} // namespace marchproxy::relay
