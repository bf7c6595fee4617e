// SPDX-License-Identifier: AGPL-3.0-only
// Limits (POL-7) and what becomes of connections that a revision refuses (POL-12), in the worker.
#include "dpdk/worker/worker_fixture.test.hpp"

#include <chrono>

namespace marchproxy::packet_worker::testing {
namespace {

using namespace tier_ebpf::testing;

/// So slow that no test sees a token come.
model::rate_limit slow(std::uint64_t burst) {
  return {1, 86'400, burst};
}
bytes opening(std::uint16_t from, std::string_view source = "10.0.0.1") {
  return ipv4({.from = source, .to = "8.8.8.8"}, tcp({.from = from, .to = 443}));
}
bytes there(std::uint16_t from, unsigned flags = ack) {
  return ipv4({.from = "10.0.0.1", .to = "8.8.8.8"},
              tcp({.from = from, .to = 443, .flags = flags}));
}

class worker_limits : public worker_test {
protected:
  static book limited(const model::limits& of_mapping, std::uint64_t revision = 5) {
    book b{revision};
    b.map("10.0.0.0/8", "8.8.8.0/24").limits = of_mapping;
    return b;
  }
  std::uint64_t refused(mp_limit_kind kind) const {
    std::uint64_t out = 0;
    for (const auto& one : pool_.limited())
      out += one.refused[kind];
    return out;
  }
};

TEST_F(worker_limits, connections_packets_and_places_are_limited) {
  model::limits l;
  l.connections = slow(3);
  l.max_connections = 2;
  l.packets = slow(6);
  put_in_force(limited(l));
  EXPECT_EQ(effect(inside, opening(1)), "allowed new_flows forwarded");
  EXPECT_EQ(effect(inside, opening(2)), "allowed new_flows forwarded");
  EXPECT_EQ(effect(inside, opening(3)), "limited");
  EXPECT_EQ(refused(MP_LIMIT_max_connections), 1u);
  EXPECT_EQ(effect(inside, there(1, rst)), "allowed tracked_hits forwarded");
  EXPECT_EQ(effect(inside, opening(3)), "allowed new_flows forwarded");
  EXPECT_EQ(effect(inside, there(3, rst)), "allowed tracked_hits forwarded");
  EXPECT_EQ(effect(inside, opening(4)), "limited");
  EXPECT_EQ(refused(MP_LIMIT_connections), 1u);
  EXPECT_EQ(effect(inside, there(2)), "allowed tracked_hits forwarded");
  EXPECT_EQ(effect(inside, there(2)), "limited tracked_hits");
  EXPECT_EQ(refused(MP_LIMIT_packets), 1u);
}

TEST_F(worker_limits, of_services_hold_beside_and_outlive_revisions) {
  auto with_service = [](std::uint64_t revision) {
    model::limits l;
    l.per = model::limit_scope::source;
    l.connections = slow(2);
    auto b = limited(l, revision);
    auto& to = b.rules.services.at(1);
    to.limits.emplace();
    to.limits->connections = slow(3);
    return b;
  };
  put_in_force(with_service(5));
  EXPECT_EQ(effect(inside, opening(1)), "allowed new_flows forwarded");
  EXPECT_EQ(effect(inside, opening(2)), "allowed new_flows forwarded");
  put_in_force(with_service(6));
  EXPECT_EQ(effect(inside, opening(3)), "limited") << "its source's";
  EXPECT_EQ(effect(inside, opening(1, "10.0.0.2")), "allowed new_flows forwarded");
  EXPECT_EQ(effect(inside, opening(2, "10.0.0.2")), "limited") << "the service's";
  EXPECT_EQ(refused(MP_LIMIT_connections), 2u);
}

TEST_F(worker_limits, places_are_free_again_when_connections_are_pushed_out) {
  model::limits l;
  l.max_connections = 5'000; // the table holds fewer
  put_in_force(limited(l));
  for (unsigned i = 0; i < 10'000; ++i)
    arrive(inside, opening(static_cast<std::uint16_t>(i + 1)));
  EXPECT_GT(pool_.evicted(), 5'000u);
  EXPECT_EQ(refused(MP_LIMIT_max_connections), 0u);
}

class worker_revocation : public worker_test {
protected:
  static book with(model::revocation what, std::uint64_t revision, bool active) {
    book b{revision};
    auto& m = b.map("10.0.0.0/8", "8.8.8.0/24");
    m.when_revoked = what;
    m.drain_seconds = 1;
    m.active = active;
    return b;
  }
};

TEST_F(worker_revocation, connections_finish_drain_or_are_cut) {
  using model::revocation;
  put_in_force(with(revocation::finish, 5, true));
  EXPECT_EQ(effect(inside, opening(1)), "allowed new_flows forwarded");
  put_in_force(with(revocation::finish, 6, false));
  EXPECT_EQ(effect(inside, there(1)), "allowed revalidated spared forwarded");
  EXPECT_EQ(effect(inside, opening(2)), "denied_implicit");
  put_in_force(with(revocation::drain, 7, true));
  EXPECT_EQ(effect(inside, there(1)), "allowed revalidated forwarded");
  put_in_force(with(revocation::drain, 8, false));
  EXPECT_EQ(effect(inside, there(1)), "allowed revalidated spared forwarded");
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  while (effect(inside, there(1)) == "allowed tracked_hits forwarded"
         && std::chrono::steady_clock::now() < until) {
  }
  EXPECT_EQ(effect(inside, there(1)), "denied_implicit told tracked_hits");
  put_in_force(with(revocation::cut, 9, true));
  EXPECT_EQ(effect(inside, there(1)), "allowed revalidated forwarded");
  put_in_force(with(revocation::cut, 10, false));
  EXPECT_EQ(effect(inside, there(1)), "denied_implicit revalidated told");
}

} // namespace
} // namespace marchproxy::packet_worker::testing
