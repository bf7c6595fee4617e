// SPDX-License-Identifier: AGPL-3.0-only
// What it costs to bring a small UDP packet from one cable to another: the kernel's routing,
// nftables with destination NAT, the tc program and the XDP program that forward by themselves.
// Frames are made and swallowed by XDP programs at the outer ends, so hardly anything else is in
// the figures: CPU nanoseconds of the sender's thread and of ksoftirqd, for each packet that
// arrived. Needs root.
#include "bpf/loader/tier.hpp"
#include "bpf/test/frames.hpp"
#include "tests/bench/rounds.hpp"
#include "tests/support/random_policy.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <fcntl.h>
#include <linux/if_link.h>
#include <mp_frames.skel.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

using namespace marchproxy;

namespace {

namespace parts = tier_ebpf::testing;

constexpr const char* client = "10.9.1.2";
constexpr const char* router = "10.9.1.1";
constexpr const char* server = "10.9.2.2";
constexpr std::uint16_t port = 7999;
constexpr std::uint16_t first_port = 1024;
constexpr std::uint32_t frames_a_call = 1U << 16;
constexpr int calls = 4;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "live frames: %s\n", why.c_str());
  std::exit(1);
}

void sh(const std::string& command) {
  if (std::system(command.c_str()) != 0)
    give_up(command);
}

/// client - router - server, removed at the end.
class cables {
public:
  cables() {
    for (const auto* end : {"c", "r", "s"})
      sh("ip netns add " + name(end));
    connect("c", "rc", "10.9.1");
    connect("s", "rs", "10.9.2");
    sh("ip netns exec " + name("r") + " sysctl -qw net.ipv4.ip_forward=1");
    // A veth takes redirected frames when its other end receives by GRO or has a program.
    sh("ip netns exec " + name("r") + " ethtool -K rc gro on");
    inside("s", [this] { server_link = address_of("eth"); });
    inside("r", [this] { router_link = address_of("rc"); });
    sh("ip -n " + name("r") + " neigh replace " + server + " lladdr " + server_link
       + " dev rs nud permanent");
  }
  cables(const cables&) = delete;
  cables& operator=(const cables&) = delete;
  ~cables() {
    for (const auto* end : {"c", "r", "s"})
      static_cast<void>(std::system(("ip netns del " + name(end)).c_str()));
  }

  static std::string name(const char* end) { return "mpl" + std::to_string(::getpid()) + end; }
  template <class Work>
  static void inside(const char* end, Work work) {
    std::thread{[&] {
      auto fd = ::open(("/run/netns/" + name(end)).c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0 || ::setns(fd, CLONE_NEWNET) != 0)
        give_up("cannot enter a namespace");
      ::close(fd);
      work();
    }}.join();
  }

  std::string server_link;
  std::string router_link;

private:
  static void connect(const char* end, const char* at_router, const std::string& net) {
    auto r = name("r"), e = name(end);
    sh("ip link add " + std::string{at_router} + " netns " + r + " type veth peer name eth netns "
       + e);
    sh("ip -n " + r + " address add " + net + ".1/24 dev " + at_router);
    sh("ip -n " + e + " address add " + net + ".2/24 dev eth");
    sh("ip -n " + r + " link set " + at_router + " up && ip -n " + e + " link set eth up");
  }
  static std::string address_of(const char* device) {
    // Not from sysfs: that shows the namespace in which it was mounted.
    auto* out = ::popen((std::string{"ip -br link show dev "} + device).c_str(), "r");
    std::array<char, 256> line{};
    if (out == nullptr || std::fgets(line.data(), line.size(), out) == nullptr)
      give_up("no link address");
    ::pclose(out);
    std::array<char, 32> address{};
    if (std::sscanf(line.data(), "%*s %*s %31s", address.data()) != 1)
      give_up("no link address");
    return address.data();
  }
};

double softirq_seconds() {
  double out = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    std::ifstream comm{entry.path() / "comm"};
    std::string name;
    if (!(comm >> name) || !name.starts_with("ksoftirqd"))
      continue;
    std::ifstream stat{entry.path() / "schedstat"};
    double ns = 0;
    if (stat >> ns)
      out += ns * 1e-9;
  }
  return out;
}

/// The outer ends.
class load {
public:
  load() : object_(mp_frames::open()) {
    if (object_ == nullptr)
      give_up("the generator cannot be opened");
    cables::inside("c", [this] { object_->rodata->to_ifindex = ::if_nametoindex("eth"); });
    if (mp_frames::load(object_) != 0)
      give_up("the generator cannot be loaded");
    cables::inside("s", [this] {
      auto fd = bpf_program__fd(object_->progs.swallow);
      if (bpf_xdp_attach(static_cast<int>(::if_nametoindex("eth")), fd, XDP_FLAGS_DRV_MODE, nullptr)
          != 0)
        give_up("frames cannot be swallowed");
    });
  }
  load(const load&) = delete;
  load& operator=(const load&) = delete;
  ~load() { mp_frames::destroy(object_); }

  /// Nanoseconds for each frame that arrived.
  double cost(std::span<const std::byte> frame, std::uint32_t flows) {
    object_->data->flows = flows;
    std::memcpy(&object_->data->headers[0], frame.data(), sizeof object_->data->headers);
    double out = 0;
    cables::inside("c", [&] {
      auto before = arrived();
      auto cpu = bench::cpu_seconds() + softirq_seconds();
      for (int i = 0; i < calls; ++i)
        send(frame);
      cpu = bench::cpu_seconds() + softirq_seconds() - cpu;
      auto count = arrived() - before;
      if (count < frames_a_call * calls / 10)
        give_up("only " + std::to_string(count) + " frames arrived");
      out = cpu * 1e9 / static_cast<double>(count);
    });
    return out;
  }

private:
  void send(std::span<const std::byte> frame) const {
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = frame.data();
    options.data_size_in = static_cast<std::uint32_t>(frame.size());
    options.repeat = static_cast<int>(frames_a_call);
    options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    options.batch_size = 64;
    if (auto rc = bpf_prog_test_run_opts(bpf_program__fd(object_->progs.generate), &options);
        rc != 0)
      give_up(std::string{"sending: "} + std::strerror(-rc));
  }
  [[nodiscard]] std::uint64_t arrived() const {
    std::uint32_t zero = 0;
    std::vector<std::uint64_t> each(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    bpf_map_lookup_elem(bpf_map__fd(object_->maps.arrived), &zero, each.data());
    std::uint64_t sum = 0;
    for (auto count : each)
      sum += count;
    return sum;
  }

  mp_frames* object_;
};

/// The tier at the router, with the flows in its table as connections of both ends.
class programs {
public:
  explicit programs(std::uint32_t flows) {
    auto loaded = tier_ebpf::tier::load({.forwards = true});
    if (!loaded)
      give_up(to_string(loaded.error()));
    tier_ = std::move(*loaded);
    put_in_force();
    for (std::uint32_t i = 0; i < flows; ++i) {
      auto from = static_cast<std::uint16_t>(first_port + i);
      auto there = parts::ipv4({.from = client, .to = server, .protocol = IPPROTO_UDP},
                               parts::udp(from, port, 32));
      auto back = parts::ipv4({.from = server, .to = client, .protocol = IPPROTO_UDP},
                              parts::udp(port, from, 32));
      if (!tier_->run(there) || !tier_->run(back) || !tier_->run(there))
        give_up("a connection cannot be entered");
    }
  }

  void attach(bool xdp) {
    cables::inside("r", [&] {
      result<void> done = tier_->refresh_addresses();
      if (done && xdp && tier_->xdp() == nullptr)
        done = tier_->load_xdp();
      for (const auto* name : {"rc", "rs"}) {
        auto index = static_cast<int>(::if_nametoindex(name));
        if (done)
          done = tier_->attach(index);
        if (done && xdp)
          done = tier_->xdp()->attach(index, tier_ebpf::xdp_mode::native);
      }
      if (done)
        done = tier_->refresh_addresses();
      if (!done)
        give_up(to_string(done.error()));
    });
  }
  void detach() {
    cables::inside("r", [&] {
      for (auto index : tier_->attached()) {
        if (tier_->xdp() != nullptr)
          static_cast<void>(tier_->xdp()->detach(index));
        static_cast<void>(tier_->detach(index));
      }
    });
  }

private:
  void put_in_force() {
    auto rules = std::make_shared<model::ruleset>();
    rules->revision = revision{1};
    for (const auto* net : {"10.9.1.0/24", "10.9.2.0/24"}) {
      model::service s;
      s.id = service_id{rules->services.size() + 1};
      s.name = "s" + std::to_string(s.id.value);
      s.address = *parse_prefix(net);
      rules->services.push_back(s);
    }
    model::mapping m;
    m.id = mapping_id{1};
    m.sources = {service_id{1}};
    m.destinations = {service_id{2}};
    m.action = model::mapping_action::allow;
    m.allow_private = true;
    rules->mappings.push_back(m);
    auto program = policy::program::compile(rules);
    auto done = program ? tier_->prepare(*program) : tl::unexpected(program.error());
    if (done)
      done = tier_->commit();
    if (!done)
      give_up(to_string(done.error()));
  }

  std::unique_ptr<tier_ebpf::tier> tier_;
};

/// A frame for the router's interface, its checksums right.
std::vector<std::byte> frame_to(const cables& net, const char* destination) {
  auto out = parts::ipv4({.from = client, .to = destination, .protocol = IPPROTO_UDP},
                         parts::udp(first_port, port, 32));
  std::array<unsigned, 6> link{};
  std::sscanf(net.router_link.c_str(), "%x:%x:%x:%x:%x:%x", &link[0], &link[1], &link[2], &link[3],
              &link[4], &link[5]);
  for (std::size_t i = 0; i < link.size(); ++i)
    out[i] = static_cast<std::byte>(link[i]);
  constexpr std::size_t header = 14, words = 10, checksum = 24;
  unsigned sum = 0;
  for (std::size_t i = 0; i < words; ++i)
    sum += std::to_integer<unsigned>(out[header + 2 * i]) << 8
           | std::to_integer<unsigned>(out[header + 2 * i + 1]);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~(sum + (sum >> 16)) & 0xffff;
  out[checksum] = static_cast<std::byte>(sum >> 8);
  out[checksum + 1] = static_cast<std::byte>(sum & 0xff);
  return out; // UDP's checksum is 0: none
}

void measure(const cables& net, load& ends, std::uint32_t flows, bool only_against_nft) {
  programs ours{flows};
  const auto straight = frame_to(net, server);
  const auto translated = frame_to(net, router);
  auto ours_by = [&](bool xdp) {
    return [&, xdp] {
      ours.attach(xdp);
      auto out = ends.cost(straight, flows);
      ours.detach();
      return out;
    };
  };
  auto route = [&] { return ends.cost(straight, flows); };
  auto nft = [&] {
    sh("ip netns exec " + cables::name("r")
       + " nft 'add table ip mpl; add chain ip mpl pre { type "
         "nat hook prerouting priority dstnat; }; add rule ip mpl pre ip daddr "
       + router + " udp dport " + std::to_string(port) + " dnat to " + server + "'");
    auto out = ends.cost(translated, flows);
    sh("ip netns exec " + cables::name("r") + " nft delete table ip mpl");
    return out;
  };
  auto named = [&](const char* what) {
    return std::string{"packets/"} + what + "_" + std::to_string(flows) + "_flows";
  };
  auto tell = [&](const char* what, const std::function<double()>& a,
                  const std::function<double()>& b, double goal) {
    auto c = bench::alternate(a, b);
    bench::line(named(what).c_str(), c.a, c.b, c.ratio, goal);
  };
  if (!only_against_nft) {
    tell("tc_ns_over_routing", ours_by(false), route, 1.0);
    tell("xdp_ns_over_routing", ours_by(true), route, 0.4);
    tell("tc_ns_over_nftables", ours_by(false), nft, 0.7);
    tell("xdp_ns_over_nftables", ours_by(true), nft, 0.25);
  } else {
    tell("xdp_ns_over_nftables", ours_by(true), nft, 1.0 / 3);
  }
}

} // namespace

int main() {
  if (::geteuid() != 0)
    give_up("it needs root for network namespaces");
  cables net;
  load ends;
  measure(net, ends, 64, false);
  measure(net, ends, 50'000, true);
  return bench::all_ok() ? 0 : 1;
}
