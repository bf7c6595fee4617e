// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/image_builder.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace marchproxy::policy {

/// Which list of a fan an atom belongs to. Atoms of one TCP or UDP port are shared out over the
/// groups, so that a lookup reads only those that can match its port; all others are in group 0,
/// which every lookup reads.
class port_groups {
public:
  /// Shares the ports out so that groups have about the same number of atoms. The same atoms give
  /// the same groups.
  explicit port_groups(std::span<const mp_atom> atoms);

  /// @return a bit for each group the atom belongs to: one, or two for a port of TCP and UDP
  [[nodiscard]] std::uint32_t of(const mp_atom& atom) const noexcept;
  /// Over ports: TCP's group | UDP's group << 4, as mp_group reads it.
  [[nodiscard]] std::vector<radix_piece> pieces() const;

private:
  static constexpr std::size_t ports = 65536;
  std::vector<std::uint8_t> tcp_ = std::vector<std::uint8_t>(ports);
  std::vector<std::uint8_t> udp_ = std::vector<std::uint8_t>(ports);
};

} // namespace marchproxy::policy
