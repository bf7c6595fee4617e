// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/message.hpp"

namespace marchproxy::bus {

std::string_view find_header(const message& m, std::string_view name) noexcept {
  for (const auto& h : m.headers)
    if (h.name == name)
      return h.value;
  return {};
}

} // namespace marchproxy::bus
