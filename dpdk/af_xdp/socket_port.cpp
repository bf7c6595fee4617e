// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "dpdk/af_xdp/socket_port.hpp"

#include <linux/if_xdp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace marchproxy::af_xdp {

using packet_port::frame;

namespace {

constexpr std::uint32_t refill_at_once = 64;

void count(std::atomic<std::uint64_t>& value, std::uint64_t more) {
  value.store(value.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

} // namespace

result<std::unique_ptr<socket_port>>
socket_port::open(const place& at, buffers& from, const kernel_entry& entry) {
  std::unique_ptr<socket_port> out{new socket_port{from, entry}};
  out->fill_ = at.first ? &from.first_fill : &out->own_fill_;
  out->completion_ = at.first ? &from.first_completion : &out->own_completion_;
  xsk_socket_config config{};
  config.rx_size = buffers::ring;
  config.tx_size = buffers::ring;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD; // the program is ours
  // Neither copy nor zero-copy asked for: the kernel takes what the driver can.
  config.bind_flags =
    static_cast<std::uint16_t>(XDP_USE_NEED_WAKEUP | (at.copy_only ? XDP_COPY : 0));
  xsk_socket* made = nullptr;
  auto rc =
    xsk_socket__create_shared(&made, at.interface.c_str(), at.queue, from.umem(), &out->received_,
                              &out->to_send_, out->fill_, out->completion_, &config);
  out->socket_.reset(made);
  if (rc != 0)
    return fail(errc::unavailable, "AF_XDP on " + at.interface + " queue "
                                     + std::to_string(at.queue) + ": " + std::strerror(-rc));
  xdp_options options{};
  socklen_t size = sizeof options;
  out->zero_copy_ = ::getsockopt(out->fd(), SOL_XDP, XDP_OPTIONS, &options, &size) == 0
                    && (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
  for (std::uint32_t i = 0; i < buffers::ring / refill_at_once; ++i)
    out->refill();
  return out;
}

void socket_port::refill() noexcept {
  std::uint32_t at = 0;
  if (buffers_.free() < refill_at_once
      || xsk_ring_prod__reserve(fill_, refill_at_once, &at) != refill_at_once)
    return;
  for (std::uint32_t i = 0; i < refill_at_once; ++i)
    *xsk_ring_prod__fill_addr(fill_, at + i) = buffers_.take();
  xsk_ring_prod__submit(fill_, refill_at_once);
}

std::size_t socket_port::receive(std::span<frame> into) noexcept {
  std::uint32_t at = 0;
  auto wanted = static_cast<std::uint32_t>(std::min(into.size(), packet_port::most_in_burst));
  auto got = xsk_ring_cons__peek(&received_, wanted, &at);
  for (std::uint32_t i = 0; i < got; ++i) {
    const auto* descriptor = xsk_ring_cons__rx_desc(&received_, at + i);
    into[i] = {buffers_.at(descriptor->addr), descriptor->len, buffers_.start_of(descriptor->addr)};
  }
  if (got > 0) {
    xsk_ring_cons__release(&received_, got);
    count(received_count_, got);
  }
  refill();
  if (xsk_ring_prod__needs_wakeup(fill_) != 0)
    ::recvfrom(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
  return got;
}

void socket_port::reap() noexcept {
  std::uint32_t at = 0;
  auto done = xsk_ring_cons__peek(completion_, buffers::ring, &at);
  if (done == 0)
    return;
  for (std::uint32_t i = 0; i < done; ++i)
    buffers_.give(buffers_.start_of(*xsk_ring_cons__comp_addr(completion_, at + i)));
  xsk_ring_cons__release(completion_, done);
  under_way_ -= done;
}

void socket_port::push_out() noexcept {
  if (under_way_ > 0 && xsk_ring_prod__needs_wakeup(&to_send_) != 0)
    ::sendto(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0);
}

std::size_t socket_port::send(std::span<const frame> frames) noexcept {
  reap();
  auto room = xsk_prod_nb_free(&to_send_, static_cast<std::uint32_t>(frames.size()));
  auto wanted = std::min(static_cast<std::uint32_t>(frames.size()), room);
  std::uint32_t at = 0;
  auto taken = wanted > 0 ? xsk_ring_prod__reserve(&to_send_, wanted, &at) : 0;
  for (std::uint32_t i = 0; i < taken; ++i) {
    auto* descriptor = xsk_ring_prod__tx_desc(&to_send_, at + i);
    descriptor->addr = buffers_.address_of(frames[i].data);
    descriptor->len = frames[i].size;
    descriptor->options = 0;
  }
  if (taken > 0) {
    xsk_ring_prod__submit(&to_send_, taken);
    under_way_ += taken;
    count(sent_count_, taken);
  }
  push_out();
  return taken;
}

std::size_t socket_port::deliver(std::span<const frame> frames) noexcept {
  std::size_t taken = 0;
  for (; taken < frames.size(); ++taken)
    if (!entry_.put({frames[taken].data, frames[taken].size}))
      break;
  release(frames.first(taken)); // write() has copied them
  return taken;
}

void socket_port::release(std::span<const frame> frames) noexcept {
  for (const auto& f : frames)
    buffers_.give(f.token);
}

void socket_port::turn() noexcept {
  if (under_way_ == 0)
    return;
  reap();
  push_out(); // one call sends a limited number in copy mode
}

packet_port::port_counters socket_port::counters() const noexcept {
  packet_port::port_counters out;
  out.received = received_count_.load(std::memory_order_relaxed);
  out.sent = sent_count_.load(std::memory_order_relaxed);
  xdp_statistics kernel{};
  socklen_t size = sizeof kernel;
  if (::getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &kernel, &size) == 0)
    out.missed = kernel.rx_dropped + kernel.rx_ring_full;
  return out;
}

} // namespace marchproxy::af_xdp
