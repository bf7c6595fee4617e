// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "dpdk/port/memory_port.hpp"
#include "dpdk/worker/pool.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

using namespace marchproxy;

namespace {

constexpr std::size_t buffer_count = 64;
constexpr forwarding::mac_address own{0x02, 0, 0, 0, 0, 0x10};

/// A router that lets 10.0.0.0/8 and 2001:db8::/32 go anywhere, and knows one gateway.
struct router {
  router() {
    forwarding::kernel_view view;
    view.routes4 = view.routes6 = true;
    view.links = {{1, "a", own, 1500}, {2, "b", {0x02, 0, 0, 0, 0, 0x20}, 1400}};
    view.own = {*parse_ip("10.0.0.254")};
    view.neighbours = {{2, *parse_ip("192.0.2.2"), {0x02, 0, 0, 0, 0, 0x21}, false},
                       {2, *parse_ip("fe80::2"), {0x02, 0, 0, 0, 0, 0x21}, false}};
    view.routes = {{*parse_prefix("0.0.0.0/0"), 0, 2, parse_ip("192.0.2.2")},
                   {*parse_prefix("::/0"), 0, 2, parse_ip("fe80::2")}};
    const std::array<int, 2> interfaces{1, 2};
    MP_INVARIANT(pool.set_table(forwarding::table::make(view, interfaces, 1)));
    auto rules = std::make_shared<model::ruleset>();
    for (const auto* prefix : {"10.0.0.0/8", "2001:db8::/32"}) {
      model::service s;
      s.id = service_id{rules->services.size() + 1};
      s.name = prefix;
      s.address = *parse_prefix(prefix);
      rules->services.push_back(s);
      model::mapping m;
      m.id = mapping_id{s.id.value};
      m.sources = {s.id};
      m.destinations = {model::select_all{}};
      m.action = model::mapping_action::allow;
      m.allow_private = true;
      rules->mappings.push_back(m);
    }
    auto program = policy::program::compile(rules);
    MP_INVARIANT(program && pool.prepare(*program) && pool.commit());
  }

  packet_port::memory_pool buffers{buffer_count};
  packet_port::memory_port in{buffers, buffer_count};
  packet_port::memory_port out{buffers, buffer_count};
  packet_worker::pool pool{{.connections = 1'024}, {{&in, &out}}};
};

} // namespace

/// Frames, each behind two bytes that tell its length, arrive together. Each has one outcome, each
/// buffer comes back, and each that passed was sent, delivered or another machine's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static router r;
  auto before = r.pool.totals();
  auto ways = r.pool.ways();
  std::size_t arrived = 0;
  for (std::size_t at = 0; at + 2 <= size && arrived < buffer_count;) {
    std::size_t length = static_cast<std::size_t>(data[at]) << 8 | data[at + 1];
    at += 2;
    length = std::min(length % 2048, size - at);
    if (length > 0 && r.in.arrive(std::as_bytes(std::span{data + at, length})))
      ++arrived;
    at += length;
  }
  while (r.pool.turn() > 0) {
  }
  auto sent = r.out.take_sent();
  auto delivered = r.in.take_delivered();
  for (const auto& f : sent) {
    MP_INVARIANT(f.size >= 34);
    r.buffers.give(f);
  }
  for (const auto& f : delivered)
    r.buffers.give(f);
  MP_INVARIANT(r.buffers.free() == buffer_count);
  auto totals = r.pool.totals();
  std::uint64_t outcomes = 0;
  std::uint64_t passed = 0;
  for (std::size_t i = 0; i <= MP_LAST_OUTCOME; ++i) {
    outcomes += totals.value[i] - before.value[i];
    if (i <= MP_LAST_PASSING)
      passed += totals.value[i] - before.value[i];
  }
  MP_INVARIANT(outcomes == arrived);
  auto now = r.pool.ways();
  auto of = [&](packet_worker::way which) { return now.at(which) - ways.at(which); };
  MP_INVARIANT(of(packet_worker::way::forwarded) == sent.size());
  MP_INVARIANT(sent.size() + delivered.size() + of(packet_worker::way::other_host) == passed);
  return 0;
}
