// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/attachment.hpp"
#include "bpf/test/live_sockets.hpp"
#include "bpf/test/netns_lab.hpp"
#include "bpf/test/tier_fixture.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <sys/wait.h>

#include <csignal>

namespace marchproxy::tier_ebpf::testing {
namespace {

/// What the server offers, in one family: two TCP ports and a UDP port.
struct offers {
  const char* server = nullptr;
  const char* client_net = nullptr;
  descriptor open;
  descriptor closed; ///< listens too; the policy refuses it
  descriptor datagrams;
};

class routed_traffic : public tier_test {
protected:
  void SetUp() override {
    tier_test::SetUp();
    if (!tier_)
      return;
    lab_ = std::make_unique<netns_lab>();
    v4_ = {netns_lab::server4, "10.9.1.0/24", {}, {}, {}};
    v6_ = {netns_lab::server6, "2001:db8:91::/64", {}, {}, {}};
    lab_->inside(lab_->server, [&] {
      for (auto* o : {&v4_, &v6_}) {
        o->open = open_server(o->server, SOCK_STREAM);
        o->closed = open_server(o->server, SOCK_STREAM);
        o->datagrams = open_server(o->server, SOCK_DGRAM);
      }
    });
  }

  /// The open TCP port and the UDP port may be reached, or be refused; everything else has no rule.
  book policy_of(std::uint64_t revision,
                 model::mapping_action action = model::mapping_action::allow) {
    book b{revision};
    for (auto* o : {&v4_, &v6_}) {
      auto open = port_of(o->open);
      auto datagrams = port_of(o->datagrams);
      auto& tcp = b.map(o->client_net, o->server, action);
      tcp.protocols = static_cast<model::protocol_set>(model::protocol::tcp);
      tcp.ports = model::port_set{{{open, open}}};
      auto& udp = b.map(o->client_net, o->server, action);
      udp.protocols = static_cast<model::protocol_set>(model::protocol::udp);
      udp.ports = model::port_set{{{datagrams, datagrams}}};
    }
    return b;
  }

  result<void> attach(tier& t) {
    result<void> out;
    lab_->inside(lab_->router, [&] {
      out = t.refresh_addresses();
      for (const auto* name : {"rc", "rs"})
        if (out)
          out = t.attach(static_cast<int>(::if_nametoindex(name)));
    });
    return out;
  }

  descriptor dial_from_client(
    std::string_view to, std::uint16_t port, int type, milliseconds limit, int* problem = nullptr) {
    descriptor out;
    lab_->inside(lab_->client, [&] { out = dial(to, port, type, limit, problem); });
    return out;
  }

  bool reaches(const offers& o, const descriptor& listener, milliseconds limit) {
    return static_cast<bool>(dial_from_client(o.server, port_of(listener), SOCK_STREAM, limit));
  }

  std::unique_ptr<netns_lab> lab_;
  offers v4_;
  offers v6_;
};

TEST_F(routed_traffic, is_judged_as_the_policy_says) {
  put_in_force(policy_of(5));
  ASSERT_TRUE(attach(*tier_));
  std::vector<descriptor> kept_open;
  for (auto* o : {&v4_, &v6_}) {
    auto out = dial_from_client(o->server, port_of(o->open), SOCK_STREAM, long_enough);
    ASSERT_TRUE(out) << o->server;
    auto in = answer(o->open);
    ASSERT_TRUE(say(out, 'a'));
    EXPECT_EQ(hear(in, long_enough), 'a');
    ASSERT_TRUE(say(in, 'b'));
    EXPECT_EQ(hear(out, long_enough), 'b');

    EXPECT_FALSE(reaches(*o, o->closed, refused_after)) << o->server;

    auto datagrams = dial_from_client(o->server, port_of(o->datagrams), SOCK_DGRAM, long_enough);
    ASSERT_TRUE(say(datagrams, 'c'));
    EXPECT_TRUE(echo_once(o->datagrams, long_enough));
    EXPECT_EQ(hear(datagrams, long_enough), 'c');
    kept_open.push_back(std::move(out));
    kept_open.push_back(std::move(in));
  }
  int problem = 0;
  dial_from_client(netns_lab::router4, 9, SOCK_STREAM, long_enough, &problem);
  EXPECT_EQ(problem, ECONNREFUSED) << "the node's own stack answers";

  auto totals = by_name(tier_->totals());
  EXPECT_EQ(totals["new_flows"], 4u);
  EXPECT_GE(totals["denied_implicit"], 2u);
  EXPECT_GE(totals["passed_local"], 1u);
  EXPECT_GE(totals["passed_link"], 2u) << "ARP and neighbour discovery";
  EXPECT_EQ(totals["malformed"], 0u);
  auto mappings = tier_->mapping_counters();
  for (std::uint64_t id = 1; id <= 4; ++id) {
    EXPECT_EQ(mappings.at(mapping_id{id}).flows, 1u);
    EXPECT_GE(mappings.at(mapping_id{id}).packets, 2u);
  }
  std::map<std::string_view, int> states;
  for (const auto& c : tier_->connections(100)) {
    ++states[c.state];
    EXPECT_GE(c.packets, 1u);
    EXPECT_GE(c.reply_packets, 1u);
  }
  EXPECT_EQ(states["established"], 2);
  EXPECT_EQ(states["datagram"], 2);
}

TEST_F(routed_traffic, on_open_connections_follows_a_new_revision) {
  put_in_force(policy_of(5));
  ASSERT_TRUE(attach(*tier_));
  auto out = dial_from_client(v4_.server, port_of(v4_.open), SOCK_STREAM, long_enough);
  ASSERT_TRUE(out);
  auto in = answer(v4_.open);
  put_in_force(policy_of(6, model::mapping_action::deny));
  ASSERT_TRUE(say(out, 'x'));
  EXPECT_EQ(hear(in, refused_after), '\0');
  EXPECT_GE(by_name(tier_->totals())["denied_mapping"], 1u);
  put_in_force(policy_of(7));
  EXPECT_EQ(hear(in, long_enough), 'x') << "the retransmission passes";
  ASSERT_TRUE(say(in, 'y'));
  EXPECT_EQ(hear(out, long_enough), 'y');
}

TEST_F(routed_traffic, is_not_judged_any_more_after_an_orderly_stop) {
  put_in_force(policy_of(5));
  ASSERT_TRUE(attach(*tier_));
  EXPECT_EQ(tier_->attached().size(), 2u);
  EXPECT_FALSE(reaches(v4_, v4_.closed, refused_after));
  lab_->inside(lab_->router, [&] { tier_.reset(); });
  EXPECT_TRUE(reaches(v4_, v4_.closed, long_enough));
}

TEST_F(routed_traffic, stays_judged_after_kill_9_and_while_the_next_process_takes_over) {
  auto b = policy_of(5);
  int channel[2];
  ASSERT_EQ(::pipe(&channel[0]), 0);
  auto child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) { // a proxy that is killed
    auto first = tier::load({.connections = 4096});
    auto ok = first && (*first)->prepare(b.compile()) && (*first)->commit() && attach(**first);
    auto sent = ::write(channel[1], ok ? "y" : "n", 1);
    for (;;)
      ::pause();
    ::_exit(sent == 1 ? 0 : 1);
  }
  descriptor reading{channel[0]};
  descriptor writing{channel[1]};
  char up = 0;
  // Loading a program takes its time on a machine that is busy otherwise.
  const auto told =
    ready(reading, POLLIN, std::chrono::seconds{60}) && ::read(reading.get(), &up, 1) == 1;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(told);
  ASSERT_EQ(up, 'y');

  EXPECT_TRUE(reaches(v4_, v4_.open, long_enough));
  EXPECT_FALSE(reaches(v4_, v4_.closed, refused_after));

  // The next process: its filter takes the place of the old one.
  auto program_at = [&](const char* name) {
    std::uint32_t out = 0;
    lab_->inside(lab_->router, [&] {
      out = attached_program(static_cast<int>(::if_nametoindex(name))).value_or(0);
    });
    return out;
  };
  auto before = program_at("rc");
  EXPECT_NE(before, 0u);
  put_in_force(policy_of(6));
  ASSERT_TRUE(attach(*tier_));
  EXPECT_NE(program_at("rc"), before);
  EXPECT_TRUE(reaches(v4_, v4_.open, long_enough));
  EXPECT_FALSE(reaches(v4_, v4_.closed, refused_after));
  EXPECT_GE(by_name(tier_->totals())["allowed"], 1u);
}

TEST_F(routed_traffic, is_never_taken_from_somebody_else_s_filter) {
  const std::array<bpf_insn, 2> pass{
    {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}}};
  descriptor other{
    bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "other", "GPL", pass.data(), pass.size(), nullptr)};
  ASSERT_TRUE(other);
  lab_->inside(lab_->router, [&] {
    auto ifindex = static_cast<int>(::if_nametoindex("rc"));
    bpf_tc_hook hook{};
    hook.sz = sizeof hook;
    hook.ifindex = ifindex;
    hook.attach_point = BPF_TC_INGRESS;
    bpf_tc_opts at{};
    at.sz = sizeof at;
    at.handle = 0x4d50;
    at.priority = 1;
    at.prog_fd = other.get();
    ASSERT_EQ(bpf_tc_hook_create(&hook), 0);
    ASSERT_EQ(bpf_tc_attach(&hook, &at), 0);
    EXPECT_EQ(tier_->attach(ifindex).error().code, errc::conflict);
    EXPECT_EQ(tier_->attach(4711).error().code, errc::not_found);
    EXPECT_TRUE(tier_->attached().empty());
  });
}

TEST(probing, says_what_it_found_one_sentence_each) {
  auto report = probe();
  ASSERT_EQ(report.checks.size(), 5u);
  for (const auto& c : report.checks) {
    EXPECT_FALSE(c.detail.empty()) << c.name;
    if (!c.ok) {
      EXPECT_NE(report.reason().find(c.name), std::string::npos);
    }
  }
  EXPECT_EQ(report.usable(), report.reason() == "usable");
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing
