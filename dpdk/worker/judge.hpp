// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/abi/flow.h"
#include "bpf/abi/lookup.hpp"
#include "dpdk/worker/headers.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace marchproxy::packet_worker {

[[nodiscard]] inline const mp_image_header& header_of(const std::byte* image) noexcept {
  return *reinterpret_cast<const mp_image_header*>(image);
}

/// In host order, of an IPv4 address (mp_is_mapped).
[[nodiscard]] inline std::uint32_t ipv4_of(const mp_address& a) noexcept {
  return __builtin_bswap32(static_cast<std::uint32_t>(a.word[1] >> 32));
}

/// What of a tuple a match asks for beside its addresses.
inline void set_protocol(mp_match& m, const mp_tuple& t) noexcept {
  m.protocol = MP_PROTO_ICMP;
  if (t.protocol == MP_IP_TCP || t.protocol == MP_IP_UDP) {
    m.protocol = t.protocol == MP_IP_TCP ? MP_PROTO_TCP : MP_PROTO_UDP;
    m.port = t.destination_port;
  }
}

/// All 0 when nothing matched.
[[nodiscard]] inline mp_rule
deciding_rule(const std::byte* image, const mp_match& m, const mp_tuple& t) noexcept {
  const auto* rule = m.best != MP_NO_RANK ? mp_matched_rule(image, &m) : nullptr;
  if (rule == nullptr)
    return {};
  auto out = *rule;
  out.flags = mp_flags_for(out.flags, &t.destination);
  return out;
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
  set_protocol(match, t);
  auto group = mp_group(image, header.groups, match.protocol, match.port);
  if (ends.target != 0 && mp_match_fan(image, &match, ends.target, group) != 0)
    while (mp_match_list(image, &match) != 0) {
    }
  return deciding_rule(image, match, t);
}

/// Keys of the limits that a tuple is under: those of the mapping that decides, and those of the
/// service it goes to. As mp_decide_all of bpf/prog.
[[nodiscard]] inline std::array<std::uint32_t, 2>
limits_of(const std::byte* image, const mp_rule& rule, const mp_tuple& t) noexcept {
  const auto& header = header_of(image);
  const auto key = [&](std::uint32_t ref) {
    const auto* limits = mp_limits_at(image, ref);
    return limits != nullptr ? limits->key : 0U;
  };
  mp_limited_search search{};
  mp_match asked{};
  set_protocol(asked, t);
  search.protocol = asked.protocol;
  search.port = asked.port;
  if (mp_is_mapped(&t.source) != 0) {
    if (header.limited4 != 0)
      search.list = mp_lookup4(image, header.limited4, ipv4_of(t.destination));
  } else if (header.limited6 != 0) {
    mp_key6 to{{t.destination.word[0], t.destination.word[1]}};
    search.list =
      mp_lookup6(image, mp_start6(image, header.limited6, &header.limited_jump, &to), &to);
  }
  while (mp_search_limited(image, &search) != 0) {
  }
  return {key(rule.limits), key(search.found)};
}

} // namespace marchproxy::packet_worker
