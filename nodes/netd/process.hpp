// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/netd/companion.hpp"

#include <array>
#include <string_view>
#include <utility>

namespace marchproxy::netd {

/// Where netd finds its channels.
constexpr int packets_descriptor = 3;
constexpr int sockets_descriptor = 4;

/// Its tasks as it is told them.
[[nodiscard]] inline std::array<std::pair<bool, std::string_view>, 3> words_of(const tasks& t) {
  return {{{t.packets, "packets"}, {t.low_ports, "low-ports"}, {t.transparent, "transparent"}}};
}

} // namespace marchproxy::netd
