// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/program.hpp"
#include "dpdk/port/port.hpp"
#include "dpdk/worker/pool.hpp"
#include "tests/support/random_policy.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace marchproxy::bench {

/// What each frame gets anew whenever it is received.
enum class renewal : std::uint8_t {
  hops,            ///< as it was first: forwarding uses one up
  hops_and_sources ///< and another source port each round: a new connection
};

/// A port that receives the same frames over and over, and forgets what is sent. IPv4 TCP and UDP
/// only.
class replay_port final : public packet_port::port {
public:
  replay_port(std::span<const policy::flow> flows, renewal what);

  [[nodiscard]] std::size_t receive(std::span<packet_port::frame> into) noexcept override;
  [[nodiscard]] std::size_t send(std::span<const packet_port::frame> frames) noexcept override {
    return frames.size();
  }
  [[nodiscard]] std::size_t deliver(std::span<const packet_port::frame> frames) noexcept override {
    return frames.size();
  }
  void release(std::span<const packet_port::frame>) noexcept override {}
  [[nodiscard]] packet_port::port_counters counters() const noexcept override { return {}; }

private:
  static constexpr std::size_t room = 128;
  void renew(std::byte* frame) const noexcept;

  renewal what_;
  std::vector<std::array<std::byte, room>> frames_;
  std::vector<std::uint32_t> sizes_;
  std::size_t next_ = 0;
  std::uint16_t round_ = 0;
};

/// A policy with nested random prefixes, and IPv4 flows that it is about.
struct sized {
  std::shared_ptr<const policy::program> program;
  std::shared_ptr<const model::ruleset> rules;
  std::vector<policy::flow> all;
  std::vector<policy::flow> allowed;
  std::vector<policy::flow> refused;
};
[[nodiscard]] sized make_sized(std::size_t rules);

/// One worker with a replay port on which everything goes out again.
class bench_worker {
public:
  bench_worker(const sized& policy, std::span<const policy::flow> flows, renewal what);
  /// CPU time of a packet over at least @p packets, ns.
  [[nodiscard]] double packet_ns(std::size_t packets);
  [[nodiscard]] const packet_worker::pool& workers() const noexcept { return pool_; }

private:
  replay_port port_;
  packet_worker::pool pool_;
};

/// The packet worker's lookup for a burst of flows. By flow: 2 * mapping + 1 when it allows, 2 *
/// mapping when not, 0 when none matches.
void classify(std::span<const std::byte> image,
              std::span<const mp_tuple> flows,
              std::span<std::uint32_t> answers) noexcept;

/// A forwarding table that sends everything by @p ifindex to its own hardware address @p mac.
[[nodiscard]] std::shared_ptr<const forwarding::table>
everything_back(int ifindex, const forwarding::mac_address& mac);

} // namespace marchproxy::bench
