// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/abi/flow.h"
#include "bpf/abi/lookup.hpp"
#include "dpdk/worker/headers.hpp"

#include <cstddef>

namespace marchproxy::packet_worker {

[[nodiscard]] inline const mp_image_header& header_of(const std::byte* image) noexcept {
  return *reinterpret_cast<const mp_image_header*>(image);
}

/// In host order, of an IPv4 address (mp_is_mapped).
[[nodiscard]] inline std::uint32_t ipv4_of(const mp_address& a) noexcept {
  return __builtin_bswap32(static_cast<std::uint32_t>(a.word[1] >> 32));
}

/// Has the first lines fetched that decide() reads for this tuple.
inline void ahead_of_decide(const std::byte* image, const mp_tuple& t) noexcept {
  if (mp_is_mapped(&t.source) == 0)
    return;
  const auto& header = header_of(image);
  auto first = [&](std::uint32_t root, const mp_address& a) {
    return image + std::size_t{root + (ipv4_of(a) >> 16)} * 4;
  };
  __builtin_prefetch(first(header.source4, t.source));
  __builtin_prefetch(first(header.target4, t.destination));
}

/// The rule of @p image that decides about a tuple as its originator sends; all 0 when none does.
/// The same lookup as in the tc program and in policy::program::decide. hot path
[[nodiscard]] inline mp_rule decide(const std::byte* image, const mp_tuple& t) noexcept {
  const auto& header = header_of(image);
  mp_match match{};
  mp_ends ends{};
  if (mp_is_mapped(&t.source) != 0) {
    ends = mp_lookup4_ends(image, {header.source4, header.target4}, ipv4_of(t.source),
                           ipv4_of(t.destination));
  } else {
    mp_key6 from{{t.source.word[0], t.source.word[1]}};
    mp_key6 to{{t.destination.word[0], t.destination.word[1]}};
    ends = mp_lookup6_ends(image,
                           {mp_start6(image, header.source6, &header.source_jump, &from),
                            mp_start6(image, header.target6, &header.target_jump, &to)},
                           &from, &to);
  }
  match.source = ends.source;
  match.best = MP_NO_RANK;
  match.protocol = MP_PROTO_ICMP;
  if (t.protocol == MP_IP_TCP || t.protocol == MP_IP_UDP) {
    match.protocol = t.protocol == MP_IP_TCP ? MP_PROTO_TCP : MP_PROTO_UDP;
    match.port = t.destination_port;
  }
  auto group = mp_group(image, header.groups, match.protocol, match.port);
  if (ends.target != 0 && mp_match_fan(image, &match, ends.target, group) != 0)
    while (mp_match_list(image, &match) != 0) {
    }
  const auto* rule = match.best != MP_NO_RANK ? mp_matched_rule(image, &match) : nullptr;
  return rule != nullptr ? *rule : mp_rule{};
}

} // namespace marchproxy::packet_worker
