// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/abi/flow.h"
#include "dpdk/forwarding/kernel_view.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace marchproxy::forwarding {

/// How a packet leaves: what is written over its link header, and by which port.
struct hop {
  mac_address destination{};
  mac_address source{};
  std::uint16_t port = 0; ///< of the worker
  std::uint16_t mtu = 0;  ///< bytes of an IP packet
};

/// Why there is no hop for a destination.
enum class missing : std::uint8_t {
  route = 1,    ///< none, or one that only the kernel can follow, or not by a port of the worker
  neighbour = 2 ///< its hardware address is not known yet
};

/// Where packets go, as the kernel had it when this was made. Immutable; threads may share it.
class table {
public:
  /// @param ports  interface of each port, by the port's number; one may have several ports (its
  ///               queues): the first is sent by
  /// @param generation  distinguishes tables; hops that were found in one mean nothing in another
  [[nodiscard]] static std::shared_ptr<const table>
  make(const kernel_view& view, std::span<const int> ports, std::uint32_t generation);

  /// Index of the hop for @p destination. No allocation, no lock; logarithmic in routes and
  /// neighbours. Values from first_missing up are first_missing + a `missing`.
  [[nodiscard]] std::uint32_t find(const mp_address& destination) const noexcept;
  [[nodiscard]] const hop& at(std::uint32_t index) const noexcept { return hops_[index]; }
  /// The interface's own hardware address, for a port's number; all 0 when it is down.
  [[nodiscard]] const mac_address& port_address(std::size_t port) const noexcept {
    return port_addresses_[port];
  }
  static constexpr std::uint32_t first_missing = 0xffff'ff00U;
  [[nodiscard]] static missing why(std::uint32_t index) noexcept {
    return static_cast<missing>(index - first_missing);
  }

  /// This node's own addresses, the broadcast addresses of its networks included.
  [[nodiscard]] bool is_own(const mp_address& address) const noexcept {
    for (auto at = own_slot(address);; at = (at + 1) & (own_.size() - 1)) {
      const auto& there = own_[at];
      if (there.word[0] == address.word[0] && there.word[1] == address.word[1])
        return true;
      if (there.word[0] == 0 && there.word[1] == 0)
        return false;
    }
  }
  [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }

private:
  /// An address as a number; IPv4 as ::ffff:a.b.c.d.
  __extension__ using number = unsigned __int128;
  /// From `first` up to the next range's first, everything goes the same way.
  struct range {
    number first = 0;
    std::uint32_t way = 0;
  };
  /// A destination on the link of a port.
  struct near {
    number address = 0;
    std::uint32_t port = 0;
    std::uint32_t hop = 0;
  };
  friend class table_builder;

  table() = default;
  [[nodiscard]] static number to_number(const mp_address& address) noexcept;
  [[nodiscard]] std::uint32_t find_near(number address, std::uint32_t port) const noexcept;
  [[nodiscard]] std::size_t own_slot(const mp_address& address) const noexcept {
    auto mixed = (address.word[0] ^ address.word[1]) * 0x9e3779b97f4a7c15ULL;
    return static_cast<std::size_t>(mixed >> 32) & (own_.size() - 1);
  }

  std::vector<range> ranges_; ///< ascending, the first at 0
  std::vector<near> near_;    ///< ascending by port and address
  std::vector<hop> hops_;
  std::vector<mac_address> port_addresses_;
  std::vector<mp_address> own_; ///< open addressing, a power of two; 0 = free
  std::uint32_t generation_ = 0;
};

} // namespace marchproxy::forwarding
