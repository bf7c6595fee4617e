// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/gateway.hpp"

#include "actors/bus/actor_error.hpp"
#include "tests/support/bus_deployment.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <gtest/gtest.h>

namespace {

using namespace marchproxy;
using namespace marchproxy::bus;
using namespace marchproxy::testing;

constexpr cluster_id a{1};

struct quiet_config : caf::actor_system_config {
  quiet_config() {
    set("scheduler.max-threads", std::size_t{2});
    set("logger.verbosity", caf::atom("quiet"));
  }
};

class gateway_test : public ::testing::Test {
protected:
  gateway_test() {
    d.add_cluster(a, "cluster-a");
    user.jwt = *d.trust.mint_user(a, {role::manager, user.key.public_key(), "m"}, wall_now());
    gateway = *spawn_gateway(system, d.options(user));
    self->monitor(gateway);
    links = std::make_shared<inbox_of<bool>>();
    watcher = system.spawn([links = links](caf::event_based_actor*) -> caf::behavior {
      return {[links](const bus_link& link) { (*links)(link.state.up); }};
    });
    self->send(gateway, bus_watch{watcher});
    EXPECT_TRUE(eventually([this] { return is_up(); }));
  }

  ~gateway_test() override {
    self->send_exit(gateway, caf::exit_reason::user_shutdown);
    self->receive([](const caf::down_msg&) {});
    caf::anon_send_exit(watcher, caf::exit_reason::user_shutdown);
  }

  [[nodiscard]] bool is_up() const {
    const auto all = links->all();
    return !all.empty() && all.back();
  }

  result<message> ask(message m, std::chrono::milliseconds timeout = 2s) {
    result<message> answer = fail(errc::internal, "no answer");
    self->request(gateway, 10s, bus_request{std::move(m), timeout})
      .receive([&](message& reply) { answer = std::move(reply); },
               [&](const caf::error& e) { answer = tl::unexpected(from_caf(e)); });
    return answer;
  }

  bus_stats stats() {
    bus_stats counted;
    self->request(gateway, 10s, get_bus_stats{})
      .receive([&](const bus_stats& s) { counted = s; },
               [](const caf::error& e) { ADD_FAILURE() << to_string(from_caf(e)); });
    return counted;
  }

  result<subscription_id>
  subscribe(const std::string& subject, const caf::actor& to, std::uint32_t limit = 4096) {
    result<subscription_id> answer = fail(errc::internal, "no answer");
    self->request(gateway, 10s, bus_subscribe{subject, to, limit})
      .receive([&](subscription_id id) { answer = id; },
               [&](const caf::error& e) { answer = tl::unexpected(from_caf(e)); });
    return answer;
  }

  bus_deployment d;
  bus_user user;
  quiet_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  gateway_actor gateway;
  caf::actor watcher;
  std::shared_ptr<inbox_of<bool>> links;
};

TEST_F(gateway_test, requests_come_back_as_answers_or_errors) {
  auto server = d.user(a, role::manager);
  ASSERT_TRUE(server.bus->subscribe("echo", [bus = server.bus.get()](message m) {
    EXPECT_TRUE(bus->publish({m.reply, m.data}));
  }));
  ASSERT_TRUE(server.bus->subscribe("silent", [](message) {}));
  ASSERT_TRUE(server.bus->flush(2s));
  const auto reply = ask({"echo", "hello"});
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->data, "hello");
  EXPECT_EQ(ask({"nobody"}).error().code, errc::unavailable);
  EXPECT_EQ(ask({"silent"}, 50ms).error().code, errc::timeout);
  EXPECT_EQ(stats().requests, 3U);
}

TEST_F(gateway_test, subscribers_get_what_is_published_and_their_end_ends_the_subscription) {
  const auto got = std::make_shared<inbox_of<std::string>>();
  const auto subscriber = system.spawn([got](caf::event_based_actor*) -> caf::behavior {
    return {[got](const bus_message& m) { (*got)(m.content.data); }};
  });
  ASSERT_TRUE(subscribe("mp.v1.event.>", subscriber));
  self->send(gateway, bus_publish{{"mp.v1.event.a", "1"}});
  self->send(gateway, bus_publish{{"mp.v1.event.b", "2"}});
  ASSERT_TRUE(eventually([&] { return got->size() == 2; }));
  EXPECT_EQ(got->all(), (std::vector<std::string>{"1", "2"}));

  caf::anon_send_exit(subscriber, caf::exit_reason::user_shutdown);
  EXPECT_TRUE(
    eventually([&] { return ask({"mp.v1.event.a"}, 100ms).error().code == errc::unavailable; }));
}

TEST_F(gateway_test, a_subscriber_that_lags_has_a_bounded_mailbox_and_the_rest_is_counted) {
  const auto gate = std::make_shared<std::mutex>();
  const auto got = std::make_shared<std::atomic<int>>(0);
  const auto subscriber =
    system.spawn<caf::detached>([gate, got](caf::event_based_actor*) -> caf::behavior {
      return {[gate, got](const bus_message&) {
        const std::lock_guard lock{*gate};
        ++*got;
      }};
    });
  ASSERT_TRUE(subscribe("flood", subscriber, 10));
  {
    const std::lock_guard closed{*gate};
    for (int i = 0; i < 500; ++i)
      self->send(gateway, bus_publish{{"flood"}});
    ASSERT_TRUE(eventually([&] {
      const auto s = stats();
      return s.delivered + s.dropped == 500;
    }));
    EXPECT_EQ(stats().delivered, 10U);
    EXPECT_EQ(stats().dropped, 490U);
  }
  ASSERT_TRUE(eventually([&] { return *got == 10; }));
  self->send(gateway, bus_publish{{"flood"}}); // tickets come back: delivery goes on
  EXPECT_TRUE(eventually([&] { return *got == 11; }));
  caf::anon_send_exit(subscriber, caf::exit_reason::user_shutdown);
}

TEST_F(gateway_test, watchers_hear_of_loss_and_return_and_subscriptions_survive) {
  const auto got = std::make_shared<inbox_of<std::string>>();
  const auto subscriber = system.spawn([got](caf::event_based_actor*) -> caf::behavior {
    return {[got](const bus_message& m) { (*got)(m.content.data); }};
  });
  ASSERT_TRUE(subscribe("news", subscriber));
  kill(d.server->pid(), SIGKILL);
  ASSERT_TRUE(eventually([&] { return !is_up(); }));
  EXPECT_EQ(ask({"news"}).error().code, errc::unavailable);
  ASSERT_TRUE(d.server->restart());
  ASSERT_TRUE(eventually([&] { return is_up(); }, 10s));
  self->send(gateway, bus_publish{{"news", "again"}});
  EXPECT_TRUE(eventually([&] { return got->size() == 1; }));
  EXPECT_EQ(stats().losses, 1U);
  caf::anon_send_exit(subscriber, caf::exit_reason::user_shutdown);
}

TEST_F(gateway_test, a_publish_says_why_it_failed) {
  auto failed = errc::internal;
  self->request(gateway, 10s, bus_publish{{"mp.v1.event.a", std::string(2 << 20, 'x')}})
    .receive([] { ADD_FAILURE() << "2 MiB were accepted"; },
             [&](const caf::error& e) { failed = from_caf(e).code; });
  EXPECT_EQ(failed, errc::too_large);
  EXPECT_EQ(subscribe("not a subject", watcher).error().code, errc::invalid_argument);
}

TEST_F(gateway_test, a_publish_that_nobody_waits_for_cannot_end_its_sender) {
  const auto ended = std::make_shared<inbox_of<caf::error>>();
  const auto sender =
    system.spawn([ended, gateway = gateway](caf::event_based_actor* me) -> caf::behavior {
      me->attach_functor([ended](const caf::error& why) { (*ended)(why); });
      return {[me, gateway](int) {
                me->send(gateway, bus_publish{{"news", "lost"}});
              },
              [](const std::string& word) { return word; }};
    });
  kill(d.server->pid(), SIGKILL);
  ASSERT_TRUE(eventually([&] { return !is_up(); }));
  caf::anon_send(sender, 1);
  ASSERT_TRUE(eventually([&] { return stats().unsent == 1; }));
  std::string answer;
  self->request(sender, 10s, std::string{"alive"})
    .receive([&](std::string& word) { answer = std::move(word); },
             [&](const caf::error& e) { ADD_FAILURE() << to_string(from_caf(e)); });
  EXPECT_EQ(answer, "alive");
  EXPECT_EQ(ended->size(), 0U);
  caf::anon_send_exit(sender, caf::exit_reason::user_shutdown);
}

TEST_F(gateway_test, objections_of_the_server_are_counted) {
  self->send(gateway, bus_publish{{"$JS.API.SERVER.REMOVE", "{}"}});
  EXPECT_TRUE(eventually([&] { return stats().objections == 1; }));
}

TEST_F(gateway_test, a_stopping_gateway_answers_what_is_under_way) {
  auto server = d.user(a, role::manager);
  ASSERT_TRUE(server.bus->subscribe("silent", [](message) {}));
  ASSERT_TRUE(server.bus->flush(2s));
  auto pending = self->request(gateway, 10s, bus_request{{"silent"}, 60s});
  ASSERT_TRUE(eventually([&] { return stats().requests == 1; }));
  self->send_exit(gateway, caf::exit_reason::user_shutdown);
  auto code = errc::internal;
  pending.receive([](const message&) { ADD_FAILURE(); },
                  [&](const caf::error& e) { code = from_caf(e).code; });
  EXPECT_EQ(code, errc::unavailable);
}

TEST(gateway, options_that_cannot_work_are_refused) {
  quiet_config config;
  caf::actor_system system{config};
  EXPECT_FALSE(spawn_gateway(
    system, {.urls = {}, .name = "x", .user = nkey::generate(nkey_kind::user), .jwt = [] {
               return std::string{};
             }}));
}

TEST(actor_error, keeps_code_and_message_through_caf) {
  const error e{errc::conflict, "in use", {}};
  EXPECT_EQ(from_caf(to_caf(e)), e);
  EXPECT_EQ(from_caf(caf::make_error(caf::sec::request_timeout)).code, errc::timeout);
  EXPECT_EQ(from_caf(caf::make_error(caf::sec::request_receiver_down)).code, errc::unavailable);
  EXPECT_EQ(from_caf(caf::make_error(caf::sec::unexpected_message)).code, errc::internal);
}

} // namespace
