// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// A real nats-server on a port of its own choosing, in a directory that goes with the test, and the
// keyring that rules it: what a manager has, for tests.

#include "actors/bus/claims.hpp"
#include "actors/bus/connection.hpp"
#include "actors/bus/server.hpp"
#include "actors/bus/trust.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::testing {

using namespace std::chrono_literals;

/// Whether @p condition came true before @p limit: how tests wait instead of sleeping.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition, std::chrono::milliseconds limit = 5s) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

/// Collects what handlers are given, from any thread.
template <class T>
class inbox_of {
public:
  void operator()(T item) {
    const std::lock_guard lock{mutex_};
    items_.push_back(std::move(item));
  }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock{mutex_};
    return items_.size();
  }
  [[nodiscard]] std::vector<T> all() const {
    const std::lock_guard lock{mutex_};
    return items_;
  }

private:
  mutable std::mutex mutex_;
  std::vector<T> items_;
};

/// One user of the bus and what the server said to it.
struct bus_user {
  bus::nkey key = bus::nkey::generate(bus::nkey_kind::user);
  std::string jwt = {};
  std::shared_ptr<inbox_of<std::string>> objections = std::make_shared<inbox_of<std::string>>();
  std::shared_ptr<inbox_of<bus::link_state>> links = std::make_shared<inbox_of<bus::link_state>>();
  std::unique_ptr<bus::connection> bus = {};
};

class bus_deployment {
public:
  explicit bus_deployment(bus::trust keyring = bus::trust::create()) : trust{std::move(keyring)} {
    const auto now = wall_now();
    auto started = bus::embedded_server::start({
      .directory = directory.path() / "nats",
      .operator_jwt = trust.operator_jwt(now),
      .system_account = trust.system_account(),
      .accounts = {{trust.system_account(), trust.system_account_jwt(now)}},
    });
    if (!started) {
      ADD_FAILURE() << to_string(started.error());
      std::abort();
    }
    server = std::move(*started);
    system.jwt = trust.mint_system_user(system.key.public_key(), now);
    open(system);
  }

  /// Connects @p user with the JWT it has, and waits for the link.
  void open(bus_user& user) {
    auto opened = bus::connection::open(options(user));
    ASSERT_TRUE(opened) << to_string(opened.error());
    user.bus = std::move(*opened);
    const auto up = user.bus->wait_until_up(10s);
    ASSERT_TRUE(up) << to_string(up.error());
  }

  [[nodiscard]] bus::connection_options options(const bus_user& user) const {
    return {.urls = {server->url()},
            .name = "test",
            .user = user.key,
            .jwt = [jwt = user.jwt] { return jwt; },
            .on_link = [links = user.links](const bus::link_state& state) { (*links)(state); },
            .on_objection = [said = user.objections](const std::string& text) { (*said)(text); }};
  }

  void add_cluster(cluster_id id, const std::string& name) {
    ASSERT_TRUE(trust.add_cluster(id, name));
    push(id);
  }

  void push(cluster_id id) {
    const auto pushed = bus::push_account(*system.bus, *trust.account_jwt(id, wall_now()), 5s);
    ASSERT_TRUE(pushed) << to_string(pushed.error());
  }

  /// A connected user of @p who in the cluster.
  [[nodiscard]] bus_user user(cluster_id id, bus::role who, const std::string& name = "test") {
    bus_user made;
    made.jwt = *trust.mint_user(
      id, {who, made.key.public_key(), name, wall_now() + std::chrono::hours{1}}, wall_now());
    open(made);
    return made;
  }

  temporary_directory directory;
  bus::trust trust;
  std::unique_ptr<bus::embedded_server> server;
  bus_user system;
};

} // namespace marchproxy::testing
