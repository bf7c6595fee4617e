// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/connection.hpp"

#include "tests/support/bus_deployment.hpp"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace {

using namespace marchproxy;
using namespace marchproxy::bus;
using namespace marchproxy::testing;

constexpr cluster_id a{1};

class connection_test : public ::testing::Test {
protected:
  connection_test() { d.add_cluster(a, "cluster-a"); }
  bus_deployment d;
};

TEST_F(connection_test, carries_data_reply_and_headers) {
  auto one = d.user(a, role::manager);
  auto two = d.user(a, role::manager);
  const auto got = std::make_shared<inbox_of<message>>();
  ASSERT_TRUE(two.bus->subscribe("mp.v1.event.>", [got](message m) { (*got)(std::move(m)); }));
  ASSERT_TRUE(two.bus->flush(2s));
  const message sent{
    "mp.v1.event.x", std::string{"a\0b", 3}, "mp.reply", {{"Content-Type", "json"}}};
  ASSERT_TRUE(one.bus->publish(sent));
  ASSERT_TRUE(eventually([&] { return got->size() == 1; }));
  EXPECT_EQ(got->all()[0], sent);
}

TEST_F(connection_test, a_request_gets_its_reply) {
  auto server = d.user(a, role::manager);
  auto client = d.user(a, role::manager);
  ASSERT_TRUE(server.bus->subscribe("echo", [bus = server.bus.get()](message m) {
    EXPECT_TRUE(bus->publish({m.reply, m.data + "!"}));
  }));
  ASSERT_TRUE(server.bus->flush(2s));
  for (int i = 0; i < 100; ++i) {
    const auto reply = client.bus->request({"echo", std::to_string(i)}, 2s);
    ASSERT_TRUE(reply) << to_string(reply.error());
    EXPECT_EQ(reply->data, std::to_string(i) + "!");
  }
}

TEST_F(connection_test, nobody_listening_is_unavailable_and_silence_a_timeout) {
  auto client = d.user(a, role::manager);
  EXPECT_EQ(client.bus->request({"nobody"}, 2s).error().code, errc::unavailable);
  ASSERT_TRUE(client.bus->subscribe("silent", [](message) {}));
  ASSERT_TRUE(client.bus->flush(2s));
  EXPECT_EQ(client.bus->request({"silent"}, 50ms).error().code, errc::timeout);
}

TEST_F(connection_test, every_deadline_is_kept_however_requests_meet_the_keeper) {
  auto client = d.user(a, role::manager);
  ASSERT_TRUE(client.bus->subscribe("silent", [](message) {}));
  const auto done = std::make_shared<std::atomic<int>>(0);
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i)
    askers.emplace_back([bus = client.bus.get(), done] {
      for (int n = 0; n < 250; ++n)
        EXPECT_EQ(bus->request({"silent"}, 1ms).error().code, errc::timeout);
      ++*done;
    });
  EXPECT_TRUE(eventually([&] { return *done == 4; }, 20s));
  d.server->stop(); // lets go of who still waits
  for (auto& asker : askers)
    asker.join();
}

TEST_F(connection_test, subscriptions_carry_over_a_killed_server) {
  auto user = d.user(a, role::manager);
  const auto got = std::make_shared<inbox_of<message>>();
  ASSERT_TRUE(user.bus->subscribe("news", [got](message m) { (*got)(std::move(m)); }));
  kill(d.server->pid(), SIGKILL);
  ASSERT_TRUE(eventually([&] { return !user.bus->up(); }));
  EXPECT_EQ(user.bus->publish({"news"}).error().code, errc::unavailable);
  ASSERT_TRUE(user.bus->subscribe("late news", [](message) {})
              == tl::unexpected(error{errc::invalid_argument, "malformed subject", {}}));
  ASSERT_TRUE(user.bus->subscribe("late", [got](message m) { (*got)(std::move(m)); }));
  ASSERT_TRUE(d.server->restart());
  ASSERT_TRUE(user.bus->wait_until_up(10s));
  ASSERT_TRUE(user.bus->publish({"news"}));
  ASSERT_TRUE(user.bus->publish({"late"}));
  EXPECT_TRUE(eventually([&] { return got->size() == 2; }));
}

TEST_F(connection_test, a_request_under_way_fails_when_the_link_is_lost) {
  auto user = d.user(a, role::manager);
  ASSERT_TRUE(user.bus->subscribe("silent", [](message) {}));
  const auto got = std::make_shared<inbox_of<error>>();
  ASSERT_TRUE(
    user.bus->request_async({"silent"}, 60s, [got](result<message> r) { (*got)(r.error()); }));
  d.server->stop();
  ASSERT_TRUE(eventually([&] { return got->size() == 1; }));
  EXPECT_EQ(got->all()[0].code, errc::timeout); // the outcome is not known
}

TEST_F(connection_test, unsubscribed_is_silent) {
  auto user = d.user(a, role::manager);
  const auto got = std::make_shared<inbox_of<message>>();
  const auto id = user.bus->subscribe("news", [got](message m) { (*got)(std::move(m)); });
  ASSERT_TRUE(id);
  ASSERT_TRUE(user.bus->publish({"news"}));
  ASSERT_TRUE(eventually([&] { return got->size() == 1; }));
  user.bus->unsubscribe(*id);
  ASSERT_TRUE(user.bus->publish({"news"}));
  ASSERT_TRUE(user.bus->flush(2s));
  EXPECT_EQ(user.bus->request({"news"}, 2s).error().code,
            errc::unavailable); // no subscription left
  EXPECT_EQ(got->size(), 1U);
}

TEST_F(connection_test, refused_logins_are_reported_at_once_and_do_not_end_the_attempts) {
  bus_user user;
  auto jwt = std::make_shared<std::string>("not a jwt");
  auto mutex = std::make_shared<std::mutex>();
  auto options = d.options(user);
  options.jwt = [jwt, mutex] {
    const std::lock_guard lock{*mutex};
    return *jwt;
  };
  auto bus = connection::open(std::move(options));
  ASSERT_TRUE(bus);
  const auto up = (*bus)->wait_until_up(10s);
  ASSERT_FALSE(up);
  EXPECT_EQ(up.error().code, errc::unauthenticated) << to_string(up.error());
  ASSERT_TRUE(eventually([&] { return user.links->size() >= 4; })); // nats.c stops after two
  {
    const std::lock_guard lock{*mutex};
    *jwt = *d.trust.mint_user(a, {role::manager, user.key.public_key(), "m"}, wall_now());
  }
  EXPECT_TRUE(eventually([&] { return (*bus)->up(); }, 10s));
}

TEST_F(connection_test, a_good_login_is_never_refused) {
  // One signature in 256 begins with a 0, which nats.c does not send: 600 logins meet some.
  bus_user user;
  user.jwt = *d.trust.mint_user(a, {role::manager, user.key.public_key(), "m"}, wall_now());
  for (int i = 0; i < 600; ++i) {
    const auto made = session::open({{d.server->url()}, "login", user.jwt, user.key, 2000ms}, {});
    ASSERT_TRUE(made) << to_string(made.error());
  }
}

TEST_F(connection_test, a_forced_reconnect_logs_in_with_the_renewed_jwt) {
  bus_user user;
  auto asked = std::make_shared<std::atomic<int>>(0);
  user.jwt = *d.trust.mint_user(a, {role::manager, user.key.public_key(), "m"}, wall_now());
  auto options = d.options(user);
  options.jwt = [asked, jwt = user.jwt] {
    ++*asked;
    return jwt;
  };
  auto bus = connection::open(std::move(options));
  ASSERT_TRUE(bus);
  ASSERT_TRUE((*bus)->wait_until_up(10s));
  const auto before = asked->load();
  (*bus)->reconnect();
  ASSERT_TRUE(eventually([&] { return *asked > before && (*bus)->up(); }));
}

TEST_F(connection_test, an_expired_jwt_ends_the_link) {
  bus_user user;
  user.jwt = *d.trust.mint_user(
    a, {role::proxy, user.key.public_key(), "p", wall_now() + std::chrono::seconds{2}}, wall_now());
  d.open(user);
  EXPECT_TRUE(eventually([&] { return !user.bus->up(); }, 10s));
}

TEST_F(connection_test, a_stolen_jwt_without_its_key_is_useless) {
  const auto owner = d.user(a, role::proxy);
  bus_user thief;
  thief.jwt = owner.jwt;
  auto bus = connection::open(d.options(thief));
  ASSERT_TRUE(bus);
  EXPECT_EQ((*bus)->wait_until_up(10s).error().code, errc::unauthenticated);
}

TEST_F(connection_test, a_subscriber_that_lags_drops_and_counts) {
  auto user = d.user(a, role::manager);
  auto sender = d.user(a, role::manager);
  auto gate = std::make_shared<std::mutex>();
  auto got = std::make_shared<std::atomic<int>>(0);
  gate->lock();
  const auto id = user.bus->subscribe("flood",
                                      [gate, got](message) {
                                        const std::lock_guard lock{*gate};
                                        ++*got;
                                      },
                                      {.queue_limit = 10});
  ASSERT_TRUE(id);
  ASSERT_TRUE(user.bus->flush(2s));
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(sender.bus->publish({"flood"}));
  ASSERT_TRUE(sender.bus->flush(2s));
  EXPECT_TRUE(eventually([&] { return user.bus->dropped(*id) >= 980; }));
  gate->unlock();
  EXPECT_TRUE(eventually([&] { return *got + static_cast<int>(user.bus->dropped(*id)) == 1000; }));
}

/// Lets one client log in and then says nothing more, as a server that hangs.
class mute_server {
public:
  mute_server() {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* name = reinterpret_cast<sockaddr*>(&at);
    MP_INVARIANT(bind(listener_, name, size) == 0 && listen(listener_, 1) == 0
                 && getsockname(listener_, name, &size) == 0);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread{[this] { serve(); }};
  }
  mute_server(const mute_server&) = delete;
  mute_server& operator=(const mute_server&) = delete;
  ~mute_server() {
    thread_.join();
    ::close(client_);
    ::close(listener_);
  }
  [[nodiscard]] std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }

private:
  void serve() {
    client_ = accept(listener_, nullptr, nullptr);
    send("INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,"
         "\"max_payload\":1048576,\"nonce\":\"abc\"}\r\n");
    for (std::string heard; heard.find("PING\r\n") == std::string::npos;) {
      std::array<char, 4096> part{};
      const auto got = recv(client_, part.data(), part.size(), 0);
      if (got <= 0)
        return;
      heard.append(part.data(), static_cast<std::size_t>(got));
    }
    send("PONG\r\n");
  }
  void send(std::string_view text) const {
    EXPECT_EQ(::send(client_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  int listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int client_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

TEST(connection, a_request_made_while_a_link_settles_is_answered_when_it_does_not) {
  const mute_server server;
  auto bus = connection::open({.urls = {server.url()},
                               .name = "x",
                               .user = nkey::generate(nkey_kind::user),
                               .jwt = [] { return std::string{"jwt"}; },
                               .connect_timeout = 500ms});
  ASSERT_TRUE(bus);
  ASSERT_TRUE(eventually([&] { return (*bus)->publish({"x"}).has_value(); }));
  EXPECT_FALSE((*bus)->up());
  const auto got = std::make_shared<inbox_of<error>>();
  ASSERT_TRUE((*bus)->request_async({"x"}, 100ms, [got](result<message> r) { (*got)(r.error()); }));
  ASSERT_TRUE(eventually([&] { return got->size() == 1; }));
  EXPECT_EQ(got->all()[0].code, errc::timeout);
}

TEST(connection, options_that_cannot_work_are_refused) {
  EXPECT_FALSE(
    connection::open({.urls = {}, .name = "x", .user = nkey::generate(nkey_kind::user), .jwt = [] {
                        return std::string{};
                      }}));
  EXPECT_FALSE(connection::open({.urls = {"nats://127.0.0.1:1"},
                                 .name = "x",
                                 .user = nkey::generate(nkey_kind::user),
                                 .jwt = {}}));
}

TEST(connection, no_server_is_unavailable_and_closing_is_prompt) {
  auto bus = connection::open({.urls = {"nats://127.0.0.1:1"},
                               .name = "x",
                               .user = nkey::generate(nkey_kind::user),
                               .jwt = [] { return std::string{}; }});
  ASSERT_TRUE(bus);
  EXPECT_EQ((*bus)->wait_until_up(200ms).error().code, errc::unavailable);
  EXPECT_EQ((*bus)->request({"x"}, 1s).error().code, errc::unavailable);
  const auto start = std::chrono::steady_clock::now();
  (*bus)->close();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
}

} // namespace
