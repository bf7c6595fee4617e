// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// What the tc program knows about traffic, in C++ terms.

#include "actors/base/ip.hpp"
#include "actors/policy/program.hpp"
#include "bpf/abi/flow.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace marchproxy::tier_ebpf {

/// One direction of a connection. For ICMP echo both ports are the identifier.
struct five_tuple {
  ip_address source;
  ip_address destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t protocol = 0; ///< IP protocol number

  bool operator==(const five_tuple&) const = default;
};

[[nodiscard]] mp_address to_abi(const ip_address& address) noexcept;
[[nodiscard]] ip_address from_abi(const mp_address& address) noexcept;
[[nodiscard]] mp_tuple to_abi(const five_tuple& tuple) noexcept;
[[nodiscard]] five_tuple from_abi(const mp_tuple& tuple) noexcept;
/// `tcp 10.0.0.1:4711 -> 192.0.2.1:443`
[[nodiscard]] std::string to_string(const five_tuple& tuple);

/// Parts of a verdict word (bpf/abi/flow.h). The revision is known by its low 24 bits only.
struct word_parts {
  std::uint32_t generation = 0;
  policy::verdict verdict; ///< revision: 0
};
[[nodiscard]] word_parts parts_of(std::uint64_t verdict_word) noexcept;

/// An entry of the connection table, as the originator sends.
struct connection {
  five_tuple tuple;
  std::uint64_t verdict_word = 0;
  std::chrono::nanoseconds age{0};
  std::chrono::nanoseconds idle{0};
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t reply_packets = 0;
  std::uint64_t reply_bytes = 0;
  std::string_view state; ///< `opening`, `established`, `closed`, `datagram`
};
[[nodiscard]] connection to_connection(const mp_flow_key& key, const mp_flow& flow);

enum class event_kind : std::uint8_t {
  opened = MP_EVENT_OPENED,
  denied = MP_EVENT_DENIED,
  cut = MP_EVENT_CUT,
  limited = MP_EVENT_LIMITED,
  observed = MP_EVENT_OBSERVED
};

[[nodiscard]] std::string_view to_string(event_kind kind) noexcept;

struct flow_event {
  event_kind kind = event_kind::opened;
  five_tuple tuple; ///< as the originator sends
  policy::verdict verdict;
  int ifindex = 0;
  std::chrono::nanoseconds monotonic{0}; ///< CLOCK_MONOTONIC_COARSE
};
[[nodiscard]] flow_event to_event(const mp_event& e);

/// The clock of the programs: CLOCK_MONOTONIC_COARSE.
[[nodiscard]] std::chrono::nanoseconds coarse_now() noexcept;

/// Sums over CPUs of a program's map of totals; zeros when it cannot be read.
[[nodiscard]] mp_totals read_totals(int fd);

/// Name and meaning of a counter, for metrics.
struct total_text {
  std::string_view name;
  std::string_view help;
};
[[nodiscard]] total_text text_of(mp_total which) noexcept;
/// Names of the totals -> values.
[[nodiscard]] std::map<std::string, std::uint64_t> by_name(const mp_totals& totals);

} // namespace marchproxy::tier_ebpf
