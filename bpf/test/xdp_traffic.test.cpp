// SPDX-License-Identifier: AGPL-3.0-only
// Real sockets across three network namespaces, with the XDP program at the router's interfaces.
#include "bpf/test/routed_lab.hpp"

#include <bpf/libbpf.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

namespace marchproxy::tier_ebpf::testing {
namespace {

class xdp_traffic : public tier_test {
protected:
  void SetUp() override {
    tier_test::SetUp();
    if (!tier_)
      return;
    lab_ = std::make_unique<routed_lab>();
    for (const auto& end : {lab_->client, lab_->server})
      lab_->inside(end, [] {
        // A frame that leaves by XDP has no note that its checksum is still to be filled in; and a
        // veth takes redirected frames when its other end receives by GRO.
        set_feature("eth", ETHTOOL_STXCSUM, 0);
        set_feature("eth", ETHTOOL_SGRO, 1);
      });
  }

  static void set_feature(const char* name, std::uint32_t command, std::uint32_t value) {
    ethtool_value wanted{command, value};
    ifreq request{};
    std::strncpy(&request.ifr_name[0], name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&wanted);
    descriptor socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    EXPECT_EQ(::ioctl(socket.get(), SIOCETHTOOL, &request), 0) << std::strerror(errno);
  }

  result<void> attach(tier& t, xdp_mode mode) {
    result<void> out;
    lab_->inside(lab_->router, [&] {
      out = t.xdp() != nullptr ? result<void>{} : t.load_xdp();
      for (const auto* name : {"rc", "rs"}) {
        auto index = static_cast<int>(::if_nametoindex(name));
        if (out)
          out = t.attach(index);
        if (out)
          out = t.xdp()->attach(index, mode);
      }
      if (out)
        out = t.refresh_addresses();
    });
    return out;
  }

  bool drivers_tell() {
    bool out = false;
    lab_->inside(lab_->router, [&] {
      const auto all = interfaces();
      out = all && std::any_of(all->begin(), all->end(), [](auto& i) { return i.xdp.has_value(); });
    });
    return out;
  }

  std::uint64_t at_xdp(mp_total which) { return tier_->xdp()->totals().value[which]; }

  /// Bytes there and back, so many times, by a connection of each kind and family.
  void exchange(int times) {
    for (auto* o : lab_->both()) {
      auto out = lab_->dial_from_client(o->server, port_of(o->open), SOCK_STREAM, long_enough);
      ASSERT_TRUE(out) << o->server;
      auto in = answer(o->open);
      auto datagrams =
        lab_->dial_from_client(o->server, port_of(o->datagrams), SOCK_DGRAM, long_enough);
      for (int i = 0; i < times; ++i) {
        ASSERT_TRUE(say(out, 'a'));
        ASSERT_EQ(hear(in, long_enough), 'a') << o->server << ' ' << i;
        ASSERT_TRUE(say(in, 'b'));
        ASSERT_EQ(hear(out, long_enough), 'b') << o->server << ' ' << i;
        ASSERT_TRUE(say(datagrams, 'c'));
        ASSERT_TRUE(echo_once(o->datagrams, long_enough)) << o->server << ' ' << i;
        ASSERT_EQ(hear(datagrams, long_enough), 'c') << o->server << ' ' << i;
      }
    }
  }

  std::unique_ptr<routed_lab> lab_;
};

TEST_F(xdp_traffic, of_known_connections_is_forwarded_at_the_driver) {
  if (!drivers_tell())
    GTEST_SKIP() << "Linux before 6.3 does not tell who takes frames from XDP programs";
  put_in_force(lab_->policy_of(5));
  auto attached = attach(*tier_, xdp_mode::native);
  ASSERT_TRUE(attached) << marchproxy::to_string(attached.error());
  constexpr int times = 20;
  exchange(times);
  EXPECT_GE(at_xdp(MP_TOTAL_allowed), 2 * 4 * times) << "each byte and each datagram, both ways";
  EXPECT_GE(at_xdp(MP_TOTAL_handed_on), 4U) << "the first packets";
  EXPECT_EQ(tier_->totals().value[MP_TOTAL_new_flows], 4U);
  auto seen = tier_->totals().value[MP_TOTAL_allowed] + at_xdp(MP_TOTAL_allowed);
  std::uint64_t counted = 0;
  for (const auto& c : tier_->connections(100))
    counted += c.packets + c.reply_packets;
  EXPECT_EQ(counted, seen) << "each packet counts once, whoever dealt with it";
  EXPECT_EQ(at_xdp(MP_TOTAL_malformed), 0U);
}

TEST_F(xdp_traffic, that_is_only_not_refused_because_it_is_observed_is_forwarded_too) {
  if (!drivers_tell())
    GTEST_SKIP() << "Linux before 6.3 does not tell who takes frames from XDP programs";
  auto watched = lab_->policy_of(5, model::mapping_action::deny);
  for (auto& m : watched.rules.mappings)
    m.observe = true;
  put_in_force(watched);
  ASSERT_TRUE(attach(*tier_, xdp_mode::native));
  constexpr int times = 5;
  exchange(times);
  EXPECT_GE(at_xdp(MP_TOTAL_observed), 2 * 4 * times);
  EXPECT_EQ(at_xdp(MP_TOTAL_allowed), 0U);
  EXPECT_GE(tier_->totals().value[MP_TOTAL_observed], 4U) << "the first packets";
}

TEST_F(xdp_traffic, that_is_refused_ends_at_the_driver) {
  put_in_force(lab_->policy_of(5));
  ASSERT_TRUE(attach(*tier_, xdp_mode::native));
  for (auto* o : lab_->both())
    EXPECT_FALSE(lab_->reaches(*o, o->closed, refused_after)) << o->server;
  EXPECT_GE(at_xdp(MP_TOTAL_denied_implicit), 2U);
  EXPECT_EQ(tier_->totals().value[MP_TOTAL_denied_implicit], 0U) << "tc does not see them";
}

TEST_F(xdp_traffic, passes_by_a_generic_program_too) {
  put_in_force(lab_->policy_of(5));
  ASSERT_TRUE(attach(*tier_, xdp_mode::generic));
  exchange(5);
  EXPECT_FALSE(lab_->reaches(lab_->v4, lab_->v4.closed, refused_after));
  EXPECT_GE(at_xdp(MP_TOTAL_denied_implicit), 1U);
}

TEST_F(xdp_traffic, on_open_connections_follows_a_new_revision) {
  put_in_force(lab_->policy_of(5));
  ASSERT_TRUE(attach(*tier_, xdp_mode::native));
  auto out =
    lab_->dial_from_client(lab_->v4.server, port_of(lab_->v4.open), SOCK_STREAM, long_enough);
  ASSERT_TRUE(out);
  auto in = answer(lab_->v4.open);
  put_in_force(lab_->policy_of(6, model::mapping_action::deny));
  ASSERT_TRUE(say(out, 'x'));
  EXPECT_EQ(hear(in, refused_after), '\0');
  EXPECT_TRUE(was_reset(out, long_enough)) << "by the tc program, which it is handed on to";
  EXPECT_GE(tier_->totals().value[MP_TOTAL_told], 1U);
}

TEST_F(xdp_traffic, stays_judged_after_kill_9_until_the_next_process_takes_over) {
  if (!drivers_tell())
    GTEST_SKIP() << "Linux before 6.3 does not tell who takes frames from XDP programs";
  auto b = lab_->policy_of(5);
  std::array<int, 2> channel{};
  ASSERT_EQ(::pipe(channel.data()), 0);
  auto child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) { // a proxy that is killed
    auto first = tier::load({.connections = 4096, .forwards = true});
    auto ok = first && (*first)->prepare(b.compile()) && (*first)->commit()
              && attach(**first, xdp_mode::native);
    auto sent = ::write(channel[1], ok ? "y" : "n", 1);
    for (;;)
      ::pause();
    ::_exit(sent == 1 ? 0 : 1);
  }
  descriptor reading{channel[0]};
  descriptor writing{channel[1]};
  char up = 0;
  const auto told =
    ready(reading, POLLIN, std::chrono::seconds{60}) && ::read(reading.get(), &up, 1) == 1;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(told);
  ASSERT_EQ(up, 'y');
  exchange(3);
  EXPECT_FALSE(lab_->reaches(lab_->v4, lab_->v4.closed, refused_after));

  put_in_force(lab_->policy_of(6));
  auto attached = attach(*tier_, xdp_mode::native);
  ASSERT_TRUE(attached) << marchproxy::to_string(attached.error());
  exchange(3);
  EXPECT_GE(at_xdp(MP_TOTAL_allowed), 4U);
  lab_->inside(lab_->router, [&] { tier_.reset(); });
  EXPECT_TRUE(lab_->reaches(lab_->v4, lab_->v4.closed, long_enough)) << "an orderly stop detaches";
}

TEST_F(xdp_traffic, changes_its_mode_while_it_flows) {
  put_in_force(lab_->policy_of(5));
  ASSERT_TRUE(attach(*tier_, xdp_mode::native));
  auto out =
    lab_->dial_from_client(lab_->v4.server, port_of(lab_->v4.open), SOCK_STREAM, long_enough);
  ASSERT_TRUE(out);
  auto in = answer(lab_->v4.open);
  for (auto mode : {xdp_mode::generic, xdp_mode::native}) {
    ASSERT_TRUE(attach(*tier_, mode));
    EXPECT_EQ(tier_->xdp()->attached().begin()->second, mode);
    ASSERT_TRUE(say(out, 'x'));
    EXPECT_EQ(hear(in, long_enough), 'x');
  }
  lab_->inside(lab_->router, [&] {
    while (!tier_->xdp()->attached().empty())
      ASSERT_TRUE(tier_->xdp()->detach(tier_->xdp()->attached().begin()->first));
  });
  ASSERT_TRUE(say(in, 'y'));
  EXPECT_EQ(hear(out, long_enough), 'y') << "by tc alone";
}

TEST_F(xdp_traffic, goes_by_tc_alone_once_a_program_that_was_left_is_removed) {
  auto before = tier::load({.connections = 4096, .forwards = true});
  ASSERT_TRUE(before);
  ASSERT_TRUE((*before)->prepare(lab_->policy_of(5).compile()) && (*before)->commit());
  ASSERT_TRUE(attach(**before, xdp_mode::native));
  book nothing{6};
  put_in_force(nothing);
  lab_->inside(lab_->router, [&] {
    ASSERT_TRUE(tier_->refresh_addresses());
    for (const auto& [index, mode] : (*before)->xdp()->attached()) {
      ASSERT_TRUE(tier_->attach(index));
      ASSERT_TRUE(tier_->clear_xdp(index));
      bpf_xdp_query_opts there{};
      there.sz = sizeof there;
      ASSERT_EQ(bpf_xdp_query(index, 0, &there), 0);
      EXPECT_EQ(there.prog_id, 0U);
    }
  });
  EXPECT_FALSE(lab_->reaches(lab_->v4, lab_->v4.open, refused_after));
  EXPECT_GE(tier_->totals().value[MP_TOTAL_denied_implicit], 1U);
  lab_->inside(lab_->router, [&] { before->reset(); });
  EXPECT_FALSE(lab_->reaches(lab_->v4, lab_->v4.open, refused_after)) << "it removes only its own";
}

TEST_F(xdp_traffic, interfaces_are_told_apart) {
  if (!drivers_tell())
    GTEST_SKIP() << "Linux before 6.3 does not tell who takes frames from XDP programs";
  lab_->inside(lab_->router, [&] {
    auto all = interfaces();
    ASSERT_TRUE(all) << marchproxy::to_string(all.error());
    std::map<std::string, interface> by_name;
    for (const auto& i : *all)
      by_name[i.name] = i;
    EXPECT_EQ(by_name.size(), 3U);
    EXPECT_FALSE(by_name["lo"].ethernet);
    EXPECT_EQ(by_name["rc"].kind, "veth");
    EXPECT_TRUE(by_name["rc"].up);
    ASSERT_TRUE(by_name["rs"].xdp);
    EXPECT_NE(*by_name["rs"].xdp & xdp_basic, 0U);
    EXPECT_NE(*by_name["rs"].xdp & xdp_takes, 0U) << "its other end receives by GRO";
    EXPECT_NE(by_name["rs"].link_address, by_name["rc"].link_address);
  });
}

} // namespace
} // namespace marchproxy::tier_ebpf::testing
