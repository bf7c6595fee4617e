// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/node.hpp"

#include "actors/bus/actor_error.hpp"
#include "actors/bus/joining.hpp"
#include "actors/bus/streams.hpp"
#include "actors/contracts/events.hpp"
#include "actors/crypto/digest.hpp"
#include "actors/crypto/ed25519.hpp"
#include "bus-schemas/cpp/subjects.hpp"
#include "tests/support/bus_deployment.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include <csignal>
#include <optional>

namespace marchproxy::testing {
namespace {

namespace subjects = bus_schemas::subjects;
using phase = bus_schemas::proxy_ack::phase_value;
constexpr cluster_id a{1};

struct quiet_config : caf::actor_system_config {
  quiet_config() {
    set("scheduler.max-threads", std::size_t{2});
    set("logger.verbosity", caf::atom("quiet"));
  }
};

/// A node without tiers on a real bus; the test is its manager.
class node_test : public ::testing::Test {
protected:
  void SetUp() override {
    d.add_cluster(a, "cluster-a");
    const auto issued = d.trust.issue_join_key(a, wall_now());
    ASSERT_TRUE(issued);
    d.push(a);
    manager = d.user(a, bus::role::manager);
    ASSERT_TRUE(manager.bus->subscribe("mp.v1.enroll.*", [this](const bus::message& m) {
      const auto who = bus::read_requester(m.subject);
      EXPECT_TRUE(who && manager.bus->publish({m.reply, enrolment(who->user_key)}));
    }));
    ASSERT_TRUE(manager.bus->subscribe("mp.v1.proxy.*.ack", [this](const bus::message& m) {
      const auto ack = bus_schemas::decode_event<bus_schemas::proxy_ack>(m.data);
      ASSERT_TRUE(ack) << m.data;
      (*acks)({ack->data.revision, ack->data.phase});
    }));
    ASSERT_TRUE(manager.bus->flush(2s));
    auto file = proxy::revision_file::open(d.directory.path() / "state");
    ASSERT_TRUE(file);
    proxy::node_options options;
    options.bus_urls = {d.server->url()};
    options.cluster_key = issued->key;
    options.name = "egress-1";
    options.hostname = "host";
    options.tiers.chosen = "sockets";
    options.verdicts = verdicts;
    options.poll = 20ms;
    options.status = 1ms; // so that a loss of the link always meets one that is being sent
    node = proxy::spawn_node(
      system, options,
      std::make_shared<proxy::revision_engine>(std::move(*file), std::vector<proxy::tier*>{}),
      {[] { return std::map<std::string, std::uint64_t>{}; }});
    self->monitor(node);
    ASSERT_TRUE(eventually([&] { return state().bus_up; }, 10s)) << state().bus_reason;
  }
  void TearDown() override {
    self->send_exit(node, caf::exit_reason::user_shutdown);
    self->receive([](const caf::down_msg& m) {
      EXPECT_EQ(m.reason, caf::exit_reason::user_shutdown) << "it had ended by itself";
    });
    manager.bus->close();
  }

  [[nodiscard]] std::string enrolment(const std::string& user_key) const {
    const auto now = wall_now();
    bus_schemas::enroll_reply reply;
    reply.ok = true;
    reply.jwt = *d.trust.mint_user(a, {bus::role::proxy, user_key, "egress-1", now + 1h}, now);
    reply.expires_at = format_time(now + 1h);
    reply.cluster = "cluster-a";
    reply.proxy = user_key;
    reply.revision = 0;
    reply.signing_key = crypto::to_hex(crypto::view(policy_key.public_key()));
    return contracts::make_event(contracts::manager_source("cluster-a"), reply, now);
  }
  [[nodiscard]] proxy::node_state state() {
    proxy::node_state out;
    out.bus_reason = "the node does not answer";
    self->request(node, 5s, proxy::get_node_state{})
      .receive([&](proxy::node_state& s) { out = std::move(s); }, [](const caf::error&) {});
    return out;
  }
  [[nodiscard]] proxy::stored_revision make(std::uint64_t number) const {
    auto rules = std::make_shared<model::ruleset>();
    rules->cluster = a;
    rules->cluster_name = "cluster-a";
    rules->revision = marchproxy::revision{number};
    proxy::stored_revision out;
    out.bytes = model::encode(*rules);
    out.what = {rules->revision,
                crypto::sha256_hex(out.bytes),
                (*policy::program::compile(rules))->hash_hex(),
                out.bytes.size(),
                1,
                ""};
    out.what.signature =
      crypto::to_hex(crypto::view(policy_key.sign(rollout::signed_text("cluster-a", out.what))));
    return out;
  }
  template <class Data>
  void say(const Data& data) {
    ASSERT_TRUE(manager.bus->publish(
      {std::string{subjects::config_phase},
       contracts::make_event(contracts::manager_source("cluster-a"), data, wall_now())}));
  }
  void prepare(const proxy::stored_revision& r) {
    say(contracts::to_prepare("cluster-a", r.what, wall_now() + 5s));
  }
  void store_chunk(const proxy::stored_revision& r) {
    ASSERT_TRUE(bus::ensure_stream(*manager.bus, bus::config_stream(), 2s));
    ASSERT_TRUE(
      bus::publish_acked(*manager.bus, subjects::config_chunk(r.what.sha256, 0), r.bytes, {}, 2s));
  }

  struct acknowledged {
    std::uint64_t revision;
    phase how;
    bool operator==(const acknowledged&) const = default;
  };

  /// As if flows @p from to @p to had ended.
  void decide(std::uint64_t from, std::uint64_t to) {
    for (auto i = from; i <= to; ++i) {
      bus_schemas::flow_verdict v;
      v.proxy = "egress-1";
      v.tier = "sockets";
      v.request = "0123456789abcdef";
      v.via = "connect";
      v.source = "192.0.2.1";
      v.service = 7;
      v.mapping = i;
      v.reason = "mapping_deny";
      v.verdict = bus_schemas::flow_verdict::verdict_value::deny;
      v.started = v.ended = format_time(wall_now());
      ASSERT_TRUE(verdicts->admit(proxy::verdict_feed::clock::now()));
      verdicts->push(std::move(v));
    }
  }

  crypto::ed25519_key policy_key = crypto::ed25519_key::generate();
  bus_deployment d;
  std::shared_ptr<inbox_of<acknowledged>> acks = std::make_shared<inbox_of<acknowledged>>();
  std::shared_ptr<proxy::verdict_feed> verdicts = std::make_shared<proxy::verdict_feed>(
    proxy::verdict_feed::limits{.waiting = 10'000, .per_second = 1'000'000});
  bus_user manager;
  quiet_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  proxy::node_actor node;
};

TEST_F(node_test, no_loss_of_the_link_ends_it) {
  for (int i = 0; i < 5; ++i) {
    kill(d.server->pid(), SIGKILL);
    ASSERT_TRUE(eventually([&] { return !state().bus_up; }));
    ASSERT_TRUE(d.server->restart());
    ASSERT_TRUE(eventually([&] { return state().bus_up; }, 10s)) << state().bus_reason;
  }
}

TEST_F(node_test, it_tells_verdicts_in_order_and_keeps_them_while_the_bus_is_away) {
  const auto heard = std::make_shared<inbox_of<std::uint64_t>>();
  auto siem = d.user(a, bus::role::siem, "splunk");
  ASSERT_TRUE(siem.bus->subscribe("mp.v1.verdict.7.deny", [heard](const bus::message& m) {
    const auto read = bus_schemas::decode_event<bus_schemas::flow_verdict>(m.data);
    ASSERT_TRUE(read) << to_string(read.error());
    (*heard)(read->data.mapping.value_or(0));
  }));
  ASSERT_TRUE(siem.bus->flush(2s));
  decide(1, 1000);
  ASSERT_TRUE(eventually([&] { return heard->size() == 1000; })) << heard->size();
  // They are heard before the node knows that the bus has them all.
  EXPECT_TRUE(eventually([&] { return verdicts->published() == 1000; })) << verdicts->published();
  EXPECT_EQ(verdicts->lost(), 0U);

  kill(d.server->pid(), SIGKILL);
  ASSERT_TRUE(eventually([&] { return !state().bus_up; }));
  decide(1001, 1500);
  ASSERT_TRUE(d.server->restart());
  ASSERT_TRUE(eventually([&] { return verdicts->published() + verdicts->lost() == 1500; }, 10s));
  EXPECT_EQ(verdicts->lost(), 0U) << "none was on its way when the link broke";
  EXPECT_TRUE(verdicts->take(1).empty());
  const auto all = heard->all();
  for (std::size_t i = 0; i < all.size() && i < 1000; ++i)
    ASSERT_EQ(all[i], i + 1);
  siem.bus->close();
}

TEST_F(node_test, it_takes_a_revision_once_the_bus_has_it_and_does_not_refuse_before) {
  const auto r = make(1);
  prepare(r); // no stream: nobody has the ruleset
  const auto other = make(2);
  store_chunk(other);
  prepare(other); // whose acknowledgement says that the first was given up without one
  ASSERT_TRUE(eventually([&] { return acks->size() == 1; }));
  EXPECT_EQ(acks->all()[0], (acknowledged{2, phase::prepared}));
}

TEST_F(node_test, a_revision_that_could_not_be_fetched_is_taken_when_it_is_announced_again) {
  const auto r = make(1);
  prepare(r);
  store_chunk(r);
  ASSERT_TRUE(eventually([&] {
    prepare(r);
    return acks->size() > 0;
  }));
  EXPECT_EQ(acks->all()[0], (acknowledged{1, phase::prepared}));
  bus_schemas::config_commit commit;
  commit.revision = 1;
  commit.sha256 = r.what.sha256;
  say(commit);
  EXPECT_TRUE(eventually([&] { return acks->all().back() == acknowledged{1, phase::applied}; }));
  EXPECT_EQ(state().revision.value, 1U);
}

} // namespace
} // namespace marchproxy::testing
