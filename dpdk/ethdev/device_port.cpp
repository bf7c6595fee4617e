// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "dpdk/ethdev/device_port.hpp"

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace marchproxy::ethdev {

using packet_port::frame;
using packet_port::most_in_burst;

namespace {

/// The kernel is asked for what it sends in one turn of so many, and as long as there is more.
constexpr unsigned turns_between = 32;

using mbufs = std::array<rte_mbuf*, most_in_burst>;

rte_mbuf* of(const frame& f) noexcept {
  return reinterpret_cast<rte_mbuf*>(f.token); // NOLINT(performance-no-int-to-ptr)
}

} // namespace

result<std::unique_ptr<device_port>> device_port::make(const environment& from,
                                                       device wire,
                                                       const std::optional<std::string>& stand_in) {
  std::optional<packet_port::tun_device> tap;
  if (stand_in) {
    auto address = wire.address();
    auto opened = packet_port::tun_device::open(packet_port::tun_device::kind::frames, *stand_in);
    if (!opened)
      return tl::unexpected(opened.error());
    auto set = address.and_then([&](const auto& a) { return opened->set_address(a); });
    if (!set)
      return tl::unexpected(set.error());
    tap = std::move(*opened);
  }
  return std::unique_ptr<device_port>{new device_port{from, std::move(wire), std::move(tap)}};
}

device_port::~device_port() {
  ::rte_pktmbuf_free(spare_);
}

std::size_t device_port::receive(std::span<frame> into) noexcept {
  mbufs got;
  auto wanted = std::min(into.size(), most_in_burst);
  auto count = ::rte_eth_rx_burst(wire_.port(), 0, got.data(), static_cast<std::uint16_t>(wanted));
  for (std::size_t i = 0; i < count; ++i) {
    auto* m = got[i];
    // Scattered receive is off: a frame lies in one buffer.
    into[i] = {static_cast<std::byte*>(m->buf_addr) + m->data_off, m->data_len,
               reinterpret_cast<std::uint64_t>(m)};
  }
  return count;
}

std::size_t device_port::send(std::span<const frame> frames) noexcept {
  mbufs out;
  auto count = std::min(frames.size(), most_in_burst);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = of(frames[i]);
    out[i]->data_len = static_cast<std::uint16_t>(frames[i].size);
    out[i]->pkt_len = frames[i].size;
  }
  return ::rte_eth_tx_burst(wire_.port(), 0, out.data(), static_cast<std::uint16_t>(count));
}

std::size_t device_port::deliver(std::span<const frame> frames) noexcept {
  std::size_t taken = 0;
  while (stand_in_ && taken < frames.size()
         && stand_in_->put({frames[taken].data, frames[taken].size}))
    ++taken;
  release(frames.first(taken)); // the kernel has copied them
  return taken;
}

void device_port::release(std::span<const frame> frames) noexcept {
  mbufs back;
  for (std::size_t done = 0; done < frames.size();) {
    auto count = std::min(frames.size() - done, most_in_burst);
    std::transform(frames.begin() + static_cast<std::ptrdiff_t>(done),
                   frames.begin() + static_cast<std::ptrdiff_t>(done + count), back.begin(), of);
    ::rte_pktmbuf_free_bulk(back.data(), static_cast<unsigned>(count));
    done += count;
  }
}

void device_port::turn() noexcept {
  if (!stand_in_ || ++turns_ < turns_between)
    return;
  if (spare_ == nullptr)
    spare_ = ::rte_pktmbuf_alloc(environment_.buffers());
  if (spare_ == nullptr)
    return;
  auto* data = static_cast<std::byte*>(spare_->buf_addr) + spare_->data_off;
  auto size = stand_in_->take({data, ::rte_pktmbuf_tailroom(spare_)});
  if (size == 0) {
    turns_ = 0;
    return;
  }
  const frame f{data, static_cast<std::uint32_t>(size), reinterpret_cast<std::uint64_t>(spare_)};
  if (send({&f, 1}) == 1)
    spare_ = nullptr;
}

void device_port::begin() noexcept {
  // For the thread's own cache of buffers. Without a number left it works without.
  if (::rte_lcore_id() == LCORE_ID_ANY)
    ::rte_thread_register();
}

packet_port::port_counters device_port::counters() const noexcept {
  rte_eth_stats stats{};
  if (::rte_eth_stats_get(wire_.port(), &stats) != 0)
    return {};
  return {stats.ipackets, stats.opackets, stats.imissed + stats.rx_nombuf};
}

} // namespace marchproxy::ethdev
