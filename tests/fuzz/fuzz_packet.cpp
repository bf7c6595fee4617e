// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "bpf/abi/flow.h"
#include "tests/support/packet_model.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace {

using frame_bytes = std::span<const std::uint8_t>;

int load(frame_bytes frame, std::size_t at, void* to, std::size_t size) {
  if (at > frame.size() || size > frame.size() - at)
    return 0;
  std::memcpy(to, frame.data() + at, size);
  return 1;
}

} // namespace

#define MP_FRAME frame_bytes
#define MP_HOLDS(frame, bytes) ((bytes) <= (frame).size())
#define MP_LOAD(frame, at, to, size) load(frame, at, to, size)
// The C of the shared header is not held to the C++ rules on casts.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#include "bpf/abi/parse.h"
#pragma GCC diagnostic pop

namespace {

using namespace marchproxy;

std::string_view name_of(mp_u32 outcome) {
  static constexpr std::array<std::string_view, MP_TOTAL_COUNT> names{{
#define MP_X(name, text) #name,
    MP_TOTALS(MP_X)
#undef MP_X
  }};
  return names[outcome];
}

bool same(const mp_address& a, const marchproxy::testing::modelled_packet::address& b) {
  return std::memcmp(&a, b.data(), b.size()) == 0;
}

mp_u32 parse(frame_bytes frame, mp_packet& p) {
  p.start = MP_LINK_BYTES;
  const auto type = frame[12] << 8 | frame[13];
  auto outcome = mp_u32{MP_TOTAL_passed_link};
  if (type == MP_ETHER_IP4)
    outcome = mp_parse4(frame, &p);
  else if (type == MP_ETHER_IP6)
    outcome = mp_parse6(frame, &p);
  return outcome == MP_PARSED ? mp_parse_transport_of(frame, &p) : outcome;
}

} // namespace

/// The parser of the packet programs says of a frame what the model says.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < MP_LINK_BYTES)
    return 0; // the kernel has no such frames
  const frame_bytes frame{data, size};
  mp_packet p{};
  const auto outcome = parse(frame, p);
  const auto model = marchproxy::testing::model_packet(frame, false);
  if (outcome != MP_PARSED || !model.outcome.empty()) {
    MP_INVARIANT(outcome < MP_TOTAL_COUNT && name_of(outcome) == model.outcome);
    return 0;
  }
  MP_INVARIANT(same(p.tuple.source, model.source) && same(p.tuple.destination, model.destination));
  MP_INVARIANT(p.tuple.source_port == model.source_port
               && p.tuple.destination_port == model.destination_port);
  MP_INVARIANT(p.tuple.protocol == model.protocol && (p.ipv6 != 0) == model.ipv6);
  MP_INVARIANT((p.answer != 0) == model.answer && (p.tracked != 0) == model.tracked);
  MP_INVARIANT((p.fragment == MP_FRAGMENT_FIRST)
               == (model.first_fragment && !model.later_fragment));
  MP_INVARIANT((p.fragment == MP_FRAGMENT_LATER) == model.later_fragment);
  const auto id = p.ipv6 != 0 ? __builtin_bswap32(p.fragment_id)
                              : mp_from_be16(static_cast<mp_u16>(p.fragment_id));
  MP_INVARIANT(id == model.fragment_id);
  MP_INVARIANT((p.icmp_error != 0) == model.icmp_error);
  MP_INVARIANT(!model.icmp_error || same(p.reporter, model.reporter));
  return 0;
}
