// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/worker/kernel_follower.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace marchproxy::packet_worker {

namespace {

using std::chrono::steady_clock;

/// Changes come in crowds.
constexpr int settle_ms = 20;
constexpr std::chrono::seconds confirm_every{15};

} // namespace

kernel_follower::kernel_follower(pool& into,
                                 std::vector<int> interfaces,
                                 own_addresses tell,
                                 forwarding::change_watch watch)
  : into_(into),
    interfaces_(std::move(interfaces)),
    tell_(std::move(tell)),
    watch_(std::move(watch)),
    stop_(::eventfd(0, EFD_CLOEXEC)) {}

result<std::unique_ptr<kernel_follower>>
kernel_follower::start(pool& into, std::vector<int> interfaces, own_addresses tell) {
  // The watch first: what changes while the kernel is read is heard of.
  auto watch = forwarding::change_watch::open();
  if (!watch)
    return tl::unexpected(watch.error());
  std::unique_ptr<kernel_follower> out{
    new kernel_follower{into, std::move(interfaces), std::move(tell), std::move(*watch)}};
  if (auto ok = out->refresh(); !ok)
    return tl::unexpected(ok.error());
  out->thread_ = std::thread{[self = out.get()] { self->run(); }};
  return out;
}

kernel_follower::~kernel_follower() {
  if (!thread_.joinable())
    return;
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

result<void> kernel_follower::refresh() {
  auto view = forwarding::read_kernel();
  if (!view)
    return tl::unexpected(view.error());
  if (generation_ > 0 && *view == seen_)
    return {};
  if (auto told = tell_(view->own); !told)
    return told;
  auto put = into_.set_table(forwarding::table::make(*view, interfaces_, ++generation_));
  seen_ = std::move(*view);
  return put;
}

bool kernel_follower::wait(short* heard, int milliseconds) const noexcept {
  std::array<pollfd, 2> wanted{
    {{stop_.get(), POLLIN, 0}, {heard != nullptr ? watch_.fd() : -1, POLLIN, 0}}};
  ::poll(wanted.data(), wanted.size(), milliseconds);
  if (heard != nullptr)
    *heard = wanted[1].revents;
  return wanted[0].revents == 0;
}

void kernel_follower::run() noexcept {
  auto confirmed = steady_clock::now();
  for (;;) {
    short heard = 0;
    auto left =
      std::chrono::ceil<std::chrono::milliseconds>(confirmed + confirm_every - steady_clock::now());
    if (!wait(&heard, std::max(0, static_cast<int>(left.count()))))
      return;
    if (steady_clock::now() - confirmed >= confirm_every) {
      confirmed = steady_clock::now();
      if (!forwarding::confirm_stale(seen_, interfaces_))
        ++failures_;
    }
    if (heard == 0)
      continue;
    if (!wait(nullptr, settle_ms))
      return;
    if (watch_.drain() && !refresh())
      ++failures_;
  }
}

} // namespace marchproxy::packet_worker
