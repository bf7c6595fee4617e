// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// What the manager's actors need, all of it real: a store on SQLite, the keyring, a nats-server
// that obeys it, an actor system with threads. One cluster is there, with one key.

#include "actors/manager/authority.hpp"
#include "actors/storage/store.hpp"
#include "tests/support/bus_deployment.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace marchproxy::testing {

class manager_test : public ::testing::Test {
protected:
  struct quiet_config : caf::actor_system_config {
    quiet_config() {
      set("scheduler.max-threads", std::size_t{2});
      set("logger.verbosity", caf::atom("quiet"));
    }
  };

  void SetUp() override {
    auto opened = storage::store::open("sqlite:" + (directory.path() / "store.db").string(),
                                       crypto::sealing_key::generate());
    ASSERT_TRUE(opened) << to_string(opened.error());
    store = std::move(*opened);
    auto keyring = manager::authority::open(*store);
    ASSERT_TRUE(keyring) << to_string(keyring.error());
    trust = std::move(*keyring);
    auto options = trust->server_options();
    options.directory = directory.path() / "nats";
    auto started = bus::embedded_server::start(std::move(options));
    ASSERT_TRUE(started) << to_string(started.error());
    server = std::move(*started);
    const auto connected = trust->connect({server->url()});
    ASSERT_TRUE(connected) << to_string(connected.error());

    model::cluster made;
    made.name = cluster_name;
    const auto stored = store->create_cluster(by(), made);
    ASSERT_TRUE(stored) << to_string(stored.error());
    cluster = cluster_id{stored->id};
    auto issued = trust->add_cluster(cluster, cluster_name);
    ASSERT_TRUE(issued) << to_string(issued.error());
    first_key = *issued;
    ASSERT_TRUE(store->add_join_key(by(), cluster, first_key.public_key, std::nullopt));
  }

  [[nodiscard]] static storage::change_context by() {
    storage::change_context out;
    out.actor_name = "test";
    out.at = wall_now();
    return out;
  }

  /// Changes the cluster's ruleset. @return the revision that this made
  [[nodiscard]] marchproxy::revision change(const std::string& name) {
    model::service one;
    one.cluster = cluster;
    one.name = name;
    one.address = *model::parse_address("192.0.2.1", "address");
    const auto made = store->create_service(by(), one);
    EXPECT_TRUE(made) << (made ? "" : to_string(made.error()));
    return made ? made->revision : marchproxy::revision{};
  }

  static constexpr const char* cluster_name = "eu-1";
  temporary_directory directory;
  std::shared_ptr<storage::store> store;
  std::shared_ptr<manager::authority> trust;
  std::unique_ptr<bus::embedded_server> server;
  cluster_id cluster;
  manager::authority::issued_key first_key;
  quiet_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
};

} // namespace marchproxy::testing
