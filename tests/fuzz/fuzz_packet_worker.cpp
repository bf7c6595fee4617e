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
    open = compiled(1, true);
    closed = compiled(2, false);
  }

  static std::shared_ptr<const policy::program> compiled(std::uint64_t of, bool active) {
    auto rules = std::make_shared<model::ruleset>();
    rules->revision = revision{of};
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
      m.active = active;
      rules->mappings.push_back(m);
    }
    auto program = policy::program::compile(rules);
    MP_INVARIANT(program);
    return *program;
  }
  void put_in_force(const std::shared_ptr<const policy::program>& program) {
    MP_INVARIANT(pool.prepare(program) && pool.commit());
  }

  packet_port::memory_pool buffers{buffer_count};
  packet_port::memory_port in{buffers, buffer_count};
  packet_port::memory_port out{buffers, buffer_count};
  packet_worker::pool pool{{.connections = 1'024}, {{&in, &out}}};
  std::shared_ptr<const policy::program> open;
  std::shared_ptr<const policy::program> closed; ///< refuses everything
};

/// The frames of an input, each behind two bytes that tell its length, arrive together.
/// @return how many
std::size_t arrive(router& r, const uint8_t* data, size_t size) {
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
  return arrived;
}

/// Each frame has one outcome, each buffer comes back, and each that passed was sent, delivered or
/// another machine's.
void check_burst(router& r, const uint8_t* data, size_t size) {
  auto before = r.pool.totals();
  auto ways = r.pool.ways();
  const auto arrived = arrive(r, data, size);
  auto sent = r.out.take_sent();
  auto delivered = r.in.take_delivered();
  auto told = r.in.take_sent();
  for (const auto& f : sent)
    MP_INVARIANT(f.size >= 34);
  for (const auto& f : told)
    MP_INVARIANT(f.size == 54 || f.size == 70 || f.size == 74 || f.size == 110);
  for (const auto* all : {&sent, &delivered, &told})
    for (const auto& f : *all)
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
  MP_INVARIANT(totals.value[MP_TOTAL_told] - before.value[MP_TOTAL_told] == told.size());
  auto now = r.pool.ways();
  auto of = [&](packet_worker::way which) { return now.at(which) - ways.at(which); };
  MP_INVARIANT(of(packet_worker::way::forwarded) == sent.size());
  MP_INVARIANT(sent.size() + delivered.size() + of(packet_worker::way::other_host) == passed);
}

} // namespace

/// Once under a policy that lets them through, and again under one that refuses all: the
/// connections that they opened are cut, and their senders told.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static router r;
  r.put_in_force(r.open);
  check_burst(r, data, size);
  r.put_in_force(r.closed);
  check_burst(r, data, size);
  return 0;
}
