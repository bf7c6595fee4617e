// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/worker/counting.hpp"

namespace marchproxy::packet_worker {

way_text text_of(way which) noexcept {
  static constexpr std::array<way_text, static_cast<std::size_t>(way::count)> texts{{
#define MP_X(name, text) {#name, text},
    MP_WAYS(MP_X)
#undef MP_X
  }};
  return texts[static_cast<std::size_t>(which)];
}

} // namespace marchproxy::packet_worker
