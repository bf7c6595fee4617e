// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/attachment.hpp"
#include "bpf/test/routed_lab.hpp"
#include "bpf/test/tier_fixture.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <sys/wait.h>

#include <csignal>

namespace marchproxy::tier_ebpf::testing {
namespace {

class routed_traffic : public tier_test {
protected:
  void SetUp() override {
    tier_test::SetUp();
    if (!tier_)
      return;
    lab_ = std::make_unique<routed_lab>();
  }

  result<void> attach(tier& t) {
    result<void> out;
    lab_->inside(lab_->router, [&] {
      out = t.refresh_addresses();
      for (const auto* name : {"rc", "rs"})
        if (out)
          out = t.attach(static_cast<int>(::if_nametoindex(name)));
      if (out)
        out = t.refresh_addresses();
    });
    return out;
  }

  std::unique_ptr<routed_lab> lab_;
};

TEST_F(routed_traffic, is_judged_as_the_policy_says) {
  put_in_force(lab_->policy_of(5));
  ASSERT_TRUE(attach(*tier_));
  std::vector<descriptor> kept_open;
  for (auto* o : lab_->both()) {
    auto out = lab_->dial_from_client(o->server, port_of(o->open), SOCK_STREAM, long_enough);
    ASSERT_TRUE(out) << o->server;
    auto in = answer(o->open);
    ASSERT_TRUE(say(out, 'a'));
    EXPECT_EQ(hear(in, long_enough), 'a');
    ASSERT_TRUE(say(in, 'b'));
    EXPECT_EQ(hear(out, long_enough), 'b');

    EXPECT_FALSE(lab_->reaches(*o, o->closed, refused_after)) << o->server;

    auto datagrams =
      lab_->dial_from_client(o->server, port_of(o->datagrams), SOCK_DGRAM, long_enough);
    ASSERT_TRUE(say(datagrams, 'c'));
    EXPECT_TRUE(echo_once(o->datagrams, long_enough));
    EXPECT_EQ(hear(datagrams, long_enough), 'c');
    kept_open.push_back(std::move(out));
    kept_open.push_back(std::move(in));
  }
  int problem = 0;
  lab_->dial_from_client(netns_lab::router4, 9, SOCK_STREAM, long_enough, &problem);
  EXPECT_EQ(problem, ECONNREFUSED) << "the node's own stack answers";

  auto totals = by_name(tier_->totals());
  EXPECT_EQ(totals["new_flows"], 4u);
  EXPECT_GE(totals["denied_implicit"], 2u);
  EXPECT_GE(totals["passed_local"], 1u);
  EXPECT_GE(totals["passed_link"], 2u) << "ARP and neighbour discovery";
  EXPECT_EQ(totals["malformed"], 0u);
  EXPECT_GE(totals["forwarded"], 6u) << "what follows the first packets";
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

TEST_F(routed_traffic, goes_by_the_kernel_s_own_routing_unless_it_is_said_otherwise) {
  auto plain = tier::load({.connections = 4096});
  ASSERT_TRUE(plain) << marchproxy::to_string(plain.error());
  tier_ = std::move(*plain);
  put_in_force(lab_->policy_of(5));
  ASSERT_TRUE(attach(*tier_));
  EXPECT_TRUE(lab_->reaches(lab_->v4, lab_->v4.open, long_enough));
  auto totals = by_name(tier_->totals());
  EXPECT_GE(totals["allowed"], 2u);
  EXPECT_EQ(totals["forwarded"], 0u);
}

TEST_F(routed_traffic, on_open_connections_follows_a_new_revision) {
  put_in_force(lab_->policy_of(5));
  ASSERT_TRUE(attach(*tier_));
  auto out =
    lab_->dial_from_client(lab_->v4.server, port_of(lab_->v4.open), SOCK_STREAM, long_enough);
  ASSERT_TRUE(out);
  auto in = answer(lab_->v4.open);
  put_in_force(lab_->policy_of(6, model::mapping_action::deny));
  ASSERT_TRUE(say(out, 'x'));
  EXPECT_EQ(hear(in, refused_after), '\0');
  EXPECT_GE(by_name(tier_->totals())["denied_mapping"], 1u);
  EXPECT_TRUE(was_reset(out, long_enough)) << "who spoke";
  ASSERT_TRUE(say(in, 'y'));
  EXPECT_TRUE(was_reset(in, long_enough));
  EXPECT_EQ(by_name(tier_->totals())["told"], 2u);
}

TEST_F(routed_traffic, is_not_judged_any_more_after_an_orderly_stop) {
  put_in_force(lab_->policy_of(5));
  ASSERT_TRUE(attach(*tier_));
  EXPECT_EQ(tier_->attached().size(), 2u);
  EXPECT_FALSE(lab_->reaches(lab_->v4, lab_->v4.closed, refused_after));
  lab_->inside(lab_->router, [&] { tier_.reset(); });
  EXPECT_TRUE(lab_->reaches(lab_->v4, lab_->v4.closed, long_enough));
}

TEST_F(routed_traffic, stays_judged_after_kill_9_and_while_the_next_process_takes_over) {
  auto b = lab_->policy_of(5);
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

  EXPECT_TRUE(lab_->reaches(lab_->v4, lab_->v4.open, long_enough));
  EXPECT_FALSE(lab_->reaches(lab_->v4, lab_->v4.closed, refused_after));

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
  put_in_force(lab_->policy_of(6));
  ASSERT_TRUE(attach(*tier_));
  EXPECT_NE(program_at("rc"), before);
  EXPECT_TRUE(lab_->reaches(lab_->v4, lab_->v4.open, long_enough));
  EXPECT_FALSE(lab_->reaches(lab_->v4, lab_->v4.closed, refused_after));
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
