// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/abi/flow.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace marchproxy::packet_worker {

/// One writer, any reader: a plain addition, no locked instruction.
inline void add_to(std::uint64_t& value, std::uint64_t more) noexcept {
  std::atomic_ref<std::uint64_t> at{value};
  at.store(at.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}
[[nodiscard]] inline std::uint64_t read_of(const std::uint64_t& value) noexcept {
  return __atomic_load_n(&value, __ATOMIC_RELAXED); // C++20 has no atomic_ref to const
}

/// Where packets went after their outcome. Each packet that passed (MP_LAST_PASSING) is counted in
/// one of these. The names reach clients and are never renamed.
#define MP_WAYS(X)                                                                                 \
  X(forwarded, "sent by a port of the worker")                                                     \
  X(forwarded_bytes, "bytes of these")                                                             \
  X(send_full, "dropped: the port's queue took no more")                                           \
  X(other_host, "dropped: the hardware address is not the interface's")                            \
  X(kernel_local, "to the kernel: for this node, or not routed IP")                                \
  X(kernel_route, "to the kernel: no route by a port of the worker, or one that only it follows")  \
  X(kernel_neighbour, "to the kernel: the next hop's hardware address is not known yet")           \
  X(kernel_hop_limit, "to the kernel: TTL or hop limit used up")                                   \
  X(kernel_size, "to the kernel: longer than the next hop's MTU")                                  \
  X(kernel_options, "to the kernel: IPv4 options, IPv6 hop-by-hop options, a VLAN tag")            \
  X(kernel_source, "to the kernel: a source that is not to be routed")                             \
  X(kernel_lost, "dropped: the kernel did not take it, or cannot be reached by this port")

enum class way : std::uint8_t {
#define MP_X(name, text) name,
  MP_WAYS(MP_X)
#undef MP_X
    count
};
struct way_text {
  std::string_view name;
  std::string_view help;
};
[[nodiscard]] way_text text_of(way which) noexcept;

struct way_counters {
  std::array<std::uint64_t, static_cast<std::size_t>(way::count)> value{};
  [[nodiscard]] std::uint64_t at(way which) const noexcept {
    return value[static_cast<std::size_t>(which)];
  }
};

/// Reports of one worker on their way to the control thread. Fixed memory; when it is full the
/// report is lost, and the worker counts that. One writer, one reader.
class event_ring {
public:
  static constexpr std::size_t room = 8192;

  [[nodiscard]] bool push(const mp_event& e) noexcept {
    auto at = written_.load(std::memory_order_relaxed);
    if (at - read_.load(std::memory_order_acquire) == room)
      return false;
    events_[at % room] = e;
    written_.store(at + 1, std::memory_order_release);
    return true;
  }
  /// Hands over at most @p limit. @return how many
  template <class With>
  std::size_t drain(With with, std::size_t limit) {
    auto at = read_.load(std::memory_order_relaxed);
    auto end = written_.load(std::memory_order_acquire);
    std::size_t taken = 0;
    for (; at != end && taken < limit; ++at, ++taken)
      with(events_[at % room]);
    read_.store(at, std::memory_order_release);
    return taken;
  }

private:
  std::array<mp_event, room> events_{};
  alignas(64) std::atomic<std::size_t> written_{0};
  alignas(64) std::atomic<std::size_t> read_{0};
};

} // namespace marchproxy::packet_worker
