// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bpf/loader/interfaces.hpp"

#include <cstdint>
#include <map>
#include <vector>

namespace marchproxy::tier_ebpf {

/// The interfaces at which the packet programs forward by themselves, with their link addresses: as
/// the kernel's map has them.
class own_links {
public:
  /// @param fd  the map; not owned
  explicit own_links(int fd) noexcept : fd_(fd) {}

  struct link {
    std::array<std::uint8_t, 6> address{};
    bool by_tc = false; ///< by the tc program too
    friend bool operator==(const link&, const link&) = default;
  };
  /// Makes the map hold exactly @p wanted, by interface.
  /// @errors unavailable
  [[nodiscard]] result<void> set(std::map<int, link> wanted);

private:
  int fd_;
  std::map<int, link> known_;
};

} // namespace marchproxy::tier_ebpf
