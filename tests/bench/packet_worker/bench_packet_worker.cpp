// SPDX-License-Identifier: AGPL-3.0-only
// make bench SUITE=tiers: what a packet costs the packet worker as rules grow, against DPDK's own
// classifier, and against a plain forwarder on the same ports. CPU time of one thread; medians of
// alternating rounds.
#include "bpf/loader/probe_frame.hpp"
#include "dpdk/ethdev/device_port.hpp"
#include "dpdk/ethdev/environment.hpp"
#include "tests/bench/packet_worker/cables.hpp"
#include "tests/bench/packet_worker/replay.hpp"
#include "tests/bench/packet_worker/rte_acl_rules.hpp"
#include "tests/bench/rounds.hpp"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace marchproxy;
using namespace marchproxy::bench;

namespace {

constexpr std::size_t packets = 400'000; ///< of a round

[[noreturn]] void give_up(const error& e) {
  std::fprintf(stderr, "%s\n", to_string(e).c_str());
  std::exit(1);
}

void against_few_rules(const sized& large, const sized& small) {
  auto compare = [](const char* name, bench_worker& a, bench_worker& b, double goal) {
    auto c = alternate([&] { return a.packet_ns(packets); }, [&] { return b.packet_ns(packets); });
    line(name, c.a, c.b, c.ratio, goal);
  };
  // As many flows of both: their frames take room in the caches, too.
  auto allowed = std::min({large.allowed.size(), small.allowed.size(), std::size_t{10'000}});
  auto refused = std::min({large.refused.size(), small.refused.size(), std::size_t{10'000}});
  auto first = [](const std::vector<policy::flow>& of, std::size_t count) {
    return std::span{of}.first(count);
  };
  {
    auto few_flows = std::min(allowed, std::size_t{1'000});
    bench_worker many{large, first(large.allowed, few_flows), renewal::hops};
    bench_worker few{small, first(small.allowed, few_flows), renewal::hops};
    compare("packet_worker_tracked_ns_100000_rules_over_10", many, few, 1.05);
  }
  {
    bench_worker many{large, first(large.allowed, allowed), renewal::hops_and_sources};
    bench_worker few{small, first(small.allowed, allowed), renewal::hops_and_sources};
    compare("packet_worker_new_flow_ns_100000_rules_over_10", many, few, 1.3);
  }
  bench_worker many{large, first(large.refused, refused), renewal::hops};
  bench_worker few{small, first(small.refused, refused), renewal::hops};
  compare("packet_worker_refused_ns_100000_rules_over_10", many, few, 1.3);
  std::fprintf(stderr, "%zu allowed and %zu refused flows\n", allowed, refused);
}

/// The same flows through our lookup and through rte_acl, in bursts, headers read before.
void against_rte_acl(const sized& policy, const std::string& rules) {
  constexpr std::size_t burst = 32;
  auto acl = acl_rules::build(*policy.rules);
  if (!acl) {
    std::fprintf(stderr, "%s rules: %s\n", rules.c_str(), to_string(acl.error()).c_str());
    return;
  }
  auto count = policy.all.size() / burst * burst;
  std::vector<mp_tuple> tuples(count);
  std::vector<acl_key> keys(count);
  std::vector<const std::uint8_t*> pointers(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& f = policy.all[i];
    auto tcp = f.protocol == model::protocol::tcp;
    tuples[i] = tier_ebpf::to_abi(tier_ebpf::five_tuple{f.source, *f.destination, 40'000, f.port,
                                                        tcp ? std::uint8_t{6} : std::uint8_t{17}});
    keys[i] = {tuples[i].protocol, __builtin_bswap32(f.source.v4_host_order()),
               __builtin_bswap32(f.destination->v4_host_order()), __builtin_bswap16(40'000),
               __builtin_bswap16(f.port)};
    pointers[i] = reinterpret_cast<const std::uint8_t*>(&keys[i]);
  }
  const auto image = policy.program->image();
  std::vector<std::uint32_t> ours(count);
  std::vector<std::uint32_t> theirs(count);
  auto each = [&](const auto& work) {
    auto turns = std::max<std::size_t>(1, packets / count);
    auto begin = cpu_seconds();
    for (std::size_t turn = 0; turn < turns; ++turn)
      for (std::size_t i = 0; i < count; i += burst)
        work(i);
    return (cpu_seconds() - begin) * 1e9 / static_cast<double>(turns * count);
  };
  auto c = alternate(
    [&] {
      return each([&](std::size_t at) {
        classify(image, std::span{tuples}.subspan(at, burst), std::span{ours}.subspan(at, burst));
      });
    },
    [&] {
      return each([&](std::size_t at) {
        acl->classify(std::span{pointers}.subspan(at, burst), std::span{theirs}.subspan(at, burst));
      });
    });
  if (ours != theirs) {
    std::fprintf(stderr, "%s rules: the two classifiers differ\n", rules.c_str());
    std::exit(1);
  }
  line(("packet_worker_classify_ns_over_rte_acl_" + rules + "_rules").c_str(), c.a, c.b, c.ratio,
       1.0);
}

/// A port whose frames have all their hops again whenever they are received.
class endless_port final : public packet_port::port {
public:
  explicit endless_port(packet_port::port& of) : of_(of) {}
  [[nodiscard]] std::size_t receive(std::span<packet_port::frame> into) noexcept override {
    auto count = of_.receive(into);
    for (std::size_t i = 0; i < count; ++i)
      into[i].data[22] = std::byte{64};
    return count;
  }
  [[nodiscard]] std::size_t send(std::span<const packet_port::frame> frames) noexcept override {
    return of_.send(frames);
  }
  [[nodiscard]] std::size_t deliver(std::span<const packet_port::frame>) noexcept override {
    return 0;
  }
  void release(std::span<const packet_port::frame> frames) noexcept override {
    of_.release(frames);
  }
  [[nodiscard]] packet_port::port_counters counters() const noexcept override {
    return of_.counters();
  }

private:
  packet_port::port& of_;
};

/// A port of DPDK whose wire leads back to it, with @p flows on it.
std::unique_ptr<ethdev::device_port> loop(const ethdev::environment& environment,
                                          const char* name,
                                          std::span<const policy::flow> flows) {
  auto device =
    ethdev::device::open(environment, {.name = name, .arguments = "", .is_virtual = true});
  if (!device)
    give_up(device.error());
  auto address = device->address();
  auto port = device->port();
  auto out = ethdev::device_port::make(environment, std::move(*device), std::nullopt);
  if (!out || !address)
    give_up(out ? address.error() : out.error());
  for (const auto& f : flows) {
    auto frame = *tier_ebpf::first_frame(f);
    auto* m = ::rte_pktmbuf_alloc(environment.buffers());
    auto* data = ::rte_pktmbuf_append(m, static_cast<std::uint16_t>(frame.size));
    std::memcpy(data, frame.bytes.data(), frame.size);
    std::memcpy(data, address->data(), address->size());
    while (::rte_eth_tx_burst(port, 0, &m, 1) == 0) {
    }
  }
  return std::move(*out);
}

/// As dpdk-testpmd's io mode: a burst of 32 from one queue to the other. @return frames
std::size_t io_forward(std::uint16_t from, std::uint16_t to) {
  std::array<rte_mbuf*, 32> burst{};
  auto count = ::rte_eth_rx_burst(from, 0, burst.data(), burst.size());
  auto sent = ::rte_eth_tx_burst(to, 0, burst.data(), count);
  ::rte_pktmbuf_free_bulk(burst.data() + sent, static_cast<unsigned>(count - sent));
  return count;
}

void put_in_force(packet_worker::pool& pool,
                  const sized& policy,
                  std::shared_ptr<const forwarding::table> table) {
  auto done = pool.set_table(std::move(table));
  if (done)
    done = pool.prepare(policy.program);
  if (done)
    done = pool.commit();
  if (!done)
    give_up(done.error());
}

void all_forwarded(const packet_worker::pool& pool) {
  if (pool.ways().at(packet_worker::way::forwarded) == pool.totals().value[MP_TOTAL_allowed])
    return;
  std::fprintf(stderr, "packets were not forwarded\n");
  std::exit(1);
}

/// The cheapest ports there are: frames go round in memory, by their addresses.
void against_io_forward_on_rings(const ethdev::environment& environment, const sized& policy) {
  auto flows = std::span{policy.allowed}.first(std::min<std::size_t>(policy.allowed.size(), 512));
  auto plain = loop(environment, "net_ring0", flows);
  auto judged = loop(environment, "net_ring1", flows);
  endless_port endless{*judged};
  packet_worker::pool pool{{.connections = 65'536}, {{&endless}}};
  put_in_force(pool, policy, everything_back(1, *judged->wire().address()));
  auto port = plain->wire().port();
  auto each = [](const auto& turn) {
    std::size_t done = 0;
    auto begin = cpu_seconds();
    while (done < packets)
      done += turn();
    return (cpu_seconds() - begin) * 1e9 / static_cast<double>(done);
  };
  auto c = alternate([&] { return each([&] { return pool.turn(); }); },
                     [&] { return each([&] { return io_forward(port, port); }); });
  all_forwarded(pool);
  // Half the rate is twice the cost.
  line("packet_worker_forward_ns_over_io_forward_on_rings", c.a, c.b, c.ratio, 2.0);
}

/// CPU time of a packet that is sent into the one cable and forwarded to the other by @p turn. The
/// clock runs only while they are forwarded.
template <class Turn>
double cable_ns(cables& wires, const Turn& turn) {
  constexpr unsigned patience = 100'000; // turns without a frame: the rest of the burst is lost
  double seconds = 0;
  std::size_t done = 0;
  while (done < packets / 4) {
    auto sent = wires.send();
    auto begin = cpu_seconds();
    for (unsigned idle = 0; sent > 0 && idle < patience; ++idle)
      if (auto got = turn(); got > 0) {
        sent -= std::min<std::size_t>(sent, got);
        done += got;
        idle = 0;
      }
    if (sent > 0) {
      std::fprintf(stderr, "%zu frames were lost on the cable\n", sent);
      std::exit(1);
    }
    seconds += cpu_seconds() - begin;
  }
  return seconds * 1e9 / static_cast<double>(done);
}

std::unique_ptr<ethdev::device_port> open_device(const ethdev::environment& environment,
                                                 const char* name,
                                                 const std::string& arguments) {
  auto device =
    ethdev::device::open(environment, {.name = name, .arguments = arguments, .is_virtual = true});
  if (!device)
    give_up(device.error());
  auto out = ethdev::device_port::make(environment, std::move(*device), std::nullopt);
  if (!out)
    give_up(out.error());
  return std::move(*out);
}

/// Virtual cables by the af_packet driver.
void against_io_forward_on_cables(const ethdev::environment& environment,
                                  const sized& policy,
                                  std::span<const policy::flow> flows) {
  cables wires{flows};
  auto in = open_device(environment, "net_af_packet0", std::string{"iface="} + cables::near_end);
  auto out = open_device(environment, "net_af_packet1", std::string{"iface="} + cables::far_end);
  packet_worker::pool pool{{.connections = 65'536}, {{in.get(), out.get()}}};
  put_in_force(pool, policy, wires.all_to_far_end());
  auto from = in->wire().port();
  auto to = out->wire().port();
  auto c = alternate([&] { return cable_ns(wires, [&] { return pool.turn(); }); },
                     [&] { return cable_ns(wires, [&] { return io_forward(from, to); }); });
  all_forwarded(pool);
  line("packet_worker_forward_ns_over_io_forward_on_cables", c.a, c.b, c.ratio, 2.0);
}

} // namespace

int main() {
  auto large = make_sized(100'000);
  auto small = make_sized(10);
  against_few_rules(large, small);
  auto environment = ethdev::environment::start({.devices = {}, .memory_mib = 2'048});
  if (!environment)
    give_up(environment.error());
  against_rte_acl(small, "10");
  against_rte_acl(make_sized(1'000), "1000");
  against_rte_acl(large, "100000");
  against_io_forward_on_rings(**environment, large);
  if (::geteuid() == 0) {
    auto flows = std::span{large.allowed}.first(std::min<std::size_t>(large.allowed.size(), 512));
    against_io_forward_on_cables(**environment, large, flows);
  } else {
    std::fprintf(stderr, "not root: without cables\n");
  }
  return all_ok() ? 0 : 1;
}
