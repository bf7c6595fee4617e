// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/manager/cluster.hpp"

#include "actors/bus/actor_error.hpp"
#include "actors/bus/joining.hpp"
#include "actors/bus/streams.hpp"
#include "actors/contracts/events.hpp"
#include "actors/manager/manager_fixture.test.hpp"
#include "bus-schemas/cpp/subjects.hpp"

#include <functional>
#include <optional>

namespace marchproxy::testing {
namespace {

namespace subjects = bus_schemas::subjects;
using phase = bus_schemas::proxy_ack::phase_value;

/// A proxy that answers the n-th prepare as @p answer says, or not at all, and applies at once.
class stand_in {
public:
  using answers = std::function<std::optional<phase>(int prepare)>;

  void enrol(const manager::authority::issued_key& key, const std::string& url, answers answer) {
    bus_schemas::enroll_request asked;
    asked.name = "egress-1";
    asked.kind = bus_schemas::enroll_request::kind_value::egress;
    asked.hostname = "host";
    asked.version = "v1.0.0.1";
    const auto reply = bus::join({.key = *bus::parse_cluster_api_key(key.text),
                                  .urls = {url},
                                  .user = user_,
                                  .payload = event(asked)});
    ASSERT_TRUE(reply) << to_string(reply.error());
    const auto read = bus_schemas::decode_event<bus_schemas::enroll_reply>(*reply);
    ASSERT_TRUE(read && read->data.jwt) << *reply;
    auto opened = bus::connection::open(
      {.urls = {url}, .name = "egress-1", .user = user_, .jwt = [jwt = *read->data.jwt] {
         return jwt;
       }});
    ASSERT_TRUE(opened);
    bus_ = std::move(*opened);
    answer_ = std::move(answer);
    ASSERT_TRUE(bus_->subscribe(std::string{subjects::config_phase},
                                [this](const bus::message& m) { hear(m); }));
    ASSERT_TRUE(bus_->wait_until_up(10s));
    ASSERT_TRUE(bus_->flush(2s));
  }
  [[nodiscard]] int prepares() const { return prepares_; }
  [[nodiscard]] int aborts() const { return aborts_; }

private:
  template <class Data>
  [[nodiscard]] std::string event(const Data& data) const {
    return contracts::make_event(contracts::proxy_source("eu-1", user_.public_key()), data,
                                 wall_now());
  }
  void hear(const bus::message& m) {
    if (auto prepare = bus_schemas::decode_event<bus_schemas::config_prepare>(m.data)) {
      if (const auto how = answer_(++prepares_))
        acknowledge(prepare->data.revision, *how);
    } else if (auto commit = bus_schemas::decode_event<bus_schemas::config_commit>(m.data)) {
      acknowledge(commit->data.revision, phase::applied);
    } else if (bus_schemas::decode_event<bus_schemas::config_abort>(m.data)) {
      ++aborts_;
    }
  }
  void acknowledge(std::uint64_t revision, phase how) {
    bus_schemas::proxy_ack ack;
    ack.revision = revision;
    ack.phase = how;
    ack.tier = "sockets";
    if (how == phase::refused)
      ack.reason = "map full";
    EXPECT_TRUE(bus_->publish({subjects::proxy_ack(user_.public_key()), event(ack)}));
  }

  bus::nkey user_ = bus::nkey::generate(bus::nkey_kind::user);
  answers answer_;
  std::atomic<int> prepares_{0};
  std::atomic<int> aborts_{0};
  std::unique_ptr<bus::connection> bus_; ///< last: its threads use what is above
};

class cluster_test : public manager_test {
protected:
  void SetUp() override {
    manager_test::SetUp();
    auto spawned = manager::spawn_cluster(
      system, {.id = cluster,
               .name = cluster_name,
               .limits = {.prepare = 200ms, .commit = 5s, .retries = 1, .first_wait = 50ms},
               .store = store,
               .trust = trust});
    ASSERT_TRUE(spawned) << to_string(spawned.error());
    actor = *spawned;
    self->monitor(actor);
    // Without proxies the decision alone puts it in force; afterwards streams and leases are quiet.
    ASSERT_EQ(roll_out("first").outcome, rollout::outcome::in_force);
  }
  void TearDown() override {
    self->send_exit(actor, caf::exit_reason::user_shutdown);
    self->receive([](const caf::down_msg&) {});
  }

  manager::rollout_report roll_out(const std::string& service) {
    const auto revision = change(service);
    self->send(actor, manager::revision_created{});
    manager::rollout_report out;
    self->request(actor, 20s, manager::await_rollout{revision})
      .receive([&](const manager::rollout_report& report) { out = report; },
               [](const caf::error& e) { ADD_FAILURE() << to_string(bus::from_caf(e)); });
    EXPECT_EQ(out.revision, revision);
    return out;
  }
  [[nodiscard]] storage::revision_state stored_state(marchproxy::revision number) {
    const auto found = store->revision_of(cluster, number);
    EXPECT_TRUE(found);
    return found ? found->state : storage::revision_state::pending;
  }

  manager::cluster_actor actor;
};

TEST_F(cluster_test, a_rollout_that_met_silence_is_tried_again_by_itself) {
  stand_in proxy;
  proxy.enrol(first_key, server->url(), [](int prepare) {
    return prepare == 1 ? std::nullopt : std::optional{phase::prepared};
  });
  const auto report = roll_out("second");
  EXPECT_EQ(report.outcome, rollout::outcome::in_force) << report.reason;
  EXPECT_EQ(report.applied, 1U);
  EXPECT_EQ(proxy.prepares(), 2);
  EXPECT_EQ(proxy.aborts(), 1);
  EXPECT_EQ(stored_state(report.revision), storage::revision_state::committed);
}

TEST_F(cluster_test, silence_that_lasts_is_aborted_in_the_end) {
  stand_in proxy;
  proxy.enrol(first_key, server->url(), [](int) { return std::nullopt; });
  const auto report = roll_out("second");
  EXPECT_EQ(report.outcome, rollout::outcome::aborted);
  EXPECT_TRUE(report.reason.starts_with("not prepared in time")) << report.reason;
  EXPECT_EQ(proxy.prepares(), 2);
  EXPECT_EQ(stored_state(report.revision), storage::revision_state::aborted);
}

TEST_F(cluster_test, a_newer_revision_overtakes_one_that_met_silence) {
  stand_in proxy;
  proxy.enrol(first_key, server->url(), [](int prepare) {
    return prepare == 1 ? std::nullopt : std::optional{phase::prepared};
  });
  const auto silent = change("second");
  self->send(actor, manager::revision_created{});
  ASSERT_TRUE(eventually([&] { return proxy.aborts() == 1; }));
  EXPECT_EQ(roll_out("third").outcome, rollout::outcome::in_force);
  EXPECT_EQ(stored_state(silent), storage::revision_state::superseded);
}

TEST_F(cluster_test, a_refusal_is_a_decision) {
  stand_in proxy;
  proxy.enrol(first_key, server->url(), [](int) { return std::optional{phase::refused}; });
  const auto report = roll_out("second");
  EXPECT_EQ(report.outcome, rollout::outcome::aborted);
  EXPECT_TRUE(report.reason.ends_with("refused: map full")) << report.reason;
  EXPECT_EQ(proxy.prepares(), 1);
  EXPECT_EQ(stored_state(report.revision), storage::revision_state::aborted);
}

TEST_F(cluster_test, a_stream_that_the_bus_has_lost_is_made_again) {
  const auto key = bus::nkey::generate(bus::nkey_kind::user);
  const auto minted = trust->mint(cluster, bus::role::manager, key.public_key(), "operator", 1h);
  ASSERT_TRUE(minted);
  auto link = bus::connection::open(
    {.urls = {server->url()}, .name = "operator", .user = key, .jwt = [jwt = minted->jwt] {
       return jwt;
     }});
  ASSERT_TRUE(link);
  ASSERT_TRUE((*link)->wait_until_up(10s));
  ASSERT_TRUE((*link)->request({"$JS.API.STREAM.DELETE.CFG"}, 2s));
  EXPECT_EQ(roll_out("second").outcome, rollout::outcome::in_force);
  EXPECT_TRUE(eventually(
    [&] { return bus::direct_get_last(**link, "CFG", subjects::config_active, 2s).has_value(); }));
}

} // namespace
} // namespace marchproxy::testing
