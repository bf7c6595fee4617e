// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/test/frames.hpp"
#include "bpf/test/tier_fixture.hpp"
#include "dpdk/port/memory_port.hpp"
#include "dpdk/worker/pool.hpp"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace marchproxy::packet_worker::testing {

using tier_ebpf::testing::book;
using tier_ebpf::testing::bytes;

constexpr forwarding::mac_address inside_mac{2, 0, 0, 0, 0, 0x10};
constexpr forwarding::mac_address outside_mac{2, 0, 0, 0, 0, 0x20};
constexpr forwarding::mac_address client_mac{2, 0, 0, 0, 0, 0x11};
constexpr forwarding::mac_address gateway_mac{2, 0, 0, 0, 0, 0x21};

/// A router with port 0 to 10.0.0.0/8 and 2001:db8::/64, where some hosts are known, and port 1 to
/// the rest by one gateway. Its own addresses are 10.0.0.254 and 192.0.2.1.
inline forwarding::kernel_view usual_view() {
  forwarding::kernel_view v;
  v.routes4 = v.routes6 = true;
  v.links = {{1, "inside", inside_mac, 1500}, {2, "outside", outside_mac, 1400}};
  v.own = {*parse_ip("10.0.0.254"), *parse_ip("192.0.2.1"), *parse_ip("10.255.255.255")};
  v.neighbours = {{1, *parse_ip("10.0.0.1"), client_mac, false},
                  {1, *parse_ip("2001:db8::1"), client_mac, false},
                  {2, *parse_ip("192.0.2.2"), gateway_mac, false},
                  {2, *parse_ip("fe80::2"), gateway_mac, false}};
  v.routes = {{*parse_prefix("10.0.0.0/8"), 0, 1, std::nullopt},
              {*parse_prefix("2001:db8::/64"), 0, 1, std::nullopt},
              {*parse_prefix("0.0.0.0/0"), 0, 2, parse_ip("192.0.2.2")},
              {*parse_prefix("::/0"), 0, 2, parse_ip("fe80::2")}};
  return v;
}

/// One worker with two ports in memory.
class worker_test : public ::testing::Test {
protected:
  static constexpr std::size_t inside = 0;
  static constexpr std::size_t outside = 1;

  void SetUp() override { set_view(usual_view()); }

  void set_view(const forwarding::kernel_view& v) {
    static constexpr std::array<int, 2> interfaces{1, 2};
    ASSERT_TRUE(pool_.set_table(forwarding::table::make(v, interfaces, ++generation_)));
  }
  void put_in_force(const book& b) {
    auto prepared = pool_.prepare(b.compile());
    ASSERT_TRUE(prepared) << marchproxy::to_string(prepared.error());
    auto committed = pool_.commit();
    ASSERT_TRUE(committed) << marchproxy::to_string(committed.error());
  }

  /// What went where since the last call: copies, without what is in the pool's buffers.
  struct seen {
    std::array<std::vector<bytes>, 2> sent;
    std::array<std::vector<bytes>, 2> delivered;
  };
  seen take() {
    seen out;
    for (std::size_t i = 0; i < 2; ++i) {
      auto copy = [&](std::vector<packet_port::frame> from, std::vector<bytes>& to) {
        for (const auto& f : from) {
          to.emplace_back(f.data, f.data + f.size);
          buffers_.give(f);
        }
      };
      copy(ports_[i]->take_sent(), out.sent[i]);
      copy(ports_[i]->take_delivered(), out.delivered[i]);
    }
    return out;
  }
  /// The frame arrives, addressed to the interface, and is worked off.
  seen arrive(std::size_t port, bytes frame) {
    const auto& mac = port == inside ? inside_mac : outside_mac;
    if (frame.size() >= mac.size())
      std::memcpy(frame.data(), mac.data(), mac.size());
    EXPECT_TRUE(ports_[port]->arrive(frame));
    while (pool_.turn() > 0) {
    }
    auto out = take();
    EXPECT_EQ(buffers_.free(), buffer_count) << "each buffer has come back";
    return out;
  }
  /// What the frame adds to the totals, `packets`, `forwarded` and bytes left out, and to the
  /// ways, `forwarded_bytes` left out.
  std::string effect(std::size_t port, const bytes& frame) {
    auto totals = tier_ebpf::by_name(pool_.totals());
    auto ways = pool_.ways();
    last_ = arrive(port, frame);
    std::string out;
    auto say = [&](const std::string& name, std::uint64_t more) {
      if (more > 0)
        out += (out.empty() ? "" : " ") + name + (more > 1 ? "*" + std::to_string(more) : "");
    };
    for (const auto& [name, value] : tier_ebpf::by_name(pool_.totals()))
      if (name != "packets" && name != "bytes" && name != "allowed_bytes" && name != "forwarded")
        say(name, value - totals[name]);
    for (std::size_t i = 0; i < static_cast<std::size_t>(way::count); ++i)
      if (static_cast<way>(i) != way::forwarded_bytes)
        say(std::string{text_of(static_cast<way>(i)).name}, pool_.ways().value[i] - ways.value[i]);
    return out;
  }

  static constexpr std::size_t buffer_count = 256;
  std::uint32_t generation_ = 0;
  packet_port::memory_pool buffers_{buffer_count};
  std::array<std::unique_ptr<packet_port::memory_port>, 2> ports_{
    std::make_unique<packet_port::memory_port>(buffers_, 128),
    std::make_unique<packet_port::memory_port>(buffers_, 128)};
  pool pool_{{.connections = 4'096}, {{ports_[0].get(), ports_[1].get()}}};
  seen last_;
};

} // namespace marchproxy::packet_worker::testing
