// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/test/tier_fixture.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace marchproxy::tier_ebpf::testing {

/// Two policies whose mix is impossible: under an odd revision every verdict is by an odd mapping,
/// under an even one by an even mapping, wherever the lookup goes; the addresses are spread so that
/// it goes over many pages.
inline std::shared_ptr<const policy::program> parity_policy(std::uint64_t revision) {
  book b{revision};
  for (unsigned i = 0; i < 200; ++i) {
    auto source = "10." + std::to_string(i) + ".0.0/16";
    auto target = "8." + std::to_string(i) + ".8.0/24";
    auto& m = b.map(source.c_str(), target.c_str());
    m.id = mapping_id{2 * (i + 1) + revision % 2};
    if (revision % 2 == 0)
      m.action = model::mapping_action::deny;
  }
  return b.compile();
}

inline policy::flow parity_flow(unsigned i) {
  auto host = i % 200;
  return {ip_address::v4(0x0a000001U | host << 16),
          ip_address::v4(0x08000801U | host << 16),
          {},
          model::protocol::tcp,
          static_cast<std::uint16_t>(1 + i % 60000)};
}

inline bool mixed(const policy::verdict& v) {
  auto odd = v.revision.value % 2 == 1;
  return !v.mapping || (v.mapping.value % 2 == 1) != odd || v.allowed() != odd;
}

} // namespace marchproxy::tier_ebpf::testing
