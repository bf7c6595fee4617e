// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/server.hpp"

#include "actors/bus/streams.hpp"
#include "tests/support/bus_deployment.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

namespace {

using namespace marchproxy;
using namespace marchproxy::bus;
using namespace marchproxy::testing;

constexpr cluster_id a{1};

/// Whether the process executes; one that ended but was not reaped by its adoptive parent does not.
bool runs(pid_t process) {
  std::ifstream stat{"/proc/" + std::to_string(process) + "/stat"};
  std::string id;
  std::string name;
  std::string state;
  return static_cast<bool>(stat >> id >> name >> state) && state != "Z";
}

TEST(embedded_server, can_be_started_by_a_process_that_was_forked_off_before) {
  const temporary_directory directory;
  const auto keyring = trust::create();
  server_options how;
  how.directory = directory.path() / "nats";
  how.operator_jwt = keyring.operator_jwt(wall_now());
  how.system_account = keyring.system_account();
  how.accounts = {{how.system_account, keyring.system_account_jwt(wall_now())}};
  const auto binary = find_binary(how.binary);
  ASSERT_TRUE(binary) << to_string(binary.error());
  auto parent = fork_parent(*binary, configuration_of(how.directory), false);
  ASSERT_TRUE(parent) << to_string(parent.error());
  how.parent = std::move(*parent);
  auto server = embedded_server::start(how);
  ASSERT_TRUE(server) << to_string(server.error());
  const auto first = (*server)->pid();
  std::ifstream status{"/proc/" + std::to_string(first) + "/status"};
  const std::string all{std::istreambuf_iterator<char>{status}, {}};
  for (const auto* line : {"CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"})
    EXPECT_NE(all.find(line), std::string::npos) << line << " in " << all;
  ASSERT_EQ(kill(first, SIGKILL), 0);
  ASSERT_TRUE(eventually([&] { return !(*server)->alive(); }));
  const auto restarted = (*server)->restart();
  ASSERT_TRUE(restarted) << to_string(restarted.error());
  const auto second = (*server)->pid();
  EXPECT_NE(second, first);
  EXPECT_TRUE(runs(second));
  (*server)->stop();
  EXPECT_FALSE((*server)->alive());
  EXPECT_FALSE(runs(second));
}

TEST(embedded_server, its_directory_is_private) {
  const bus_deployment d;
  struct stat info {};
  ASSERT_EQ(stat((d.directory.path() / "nats").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
}

TEST(embedded_server, killed_and_restarted_it_keeps_port_accounts_and_acknowledged_messages) {
  bus_deployment d;
  d.add_cluster(a, "cluster-a");
  auto manager = d.user(a, role::manager);
  ASSERT_TRUE(ensure_stream(*manager.bus, audit_stream(), 5s));
  const auto stored = publish_acked(*manager.bus, "mp.v1.audit.change", "one", {}, 5s);
  ASSERT_TRUE(stored) << to_string(stored.error());
  const auto port = d.server->port();

  ASSERT_EQ(kill(d.server->pid(), SIGKILL), 0);
  ASSERT_TRUE(eventually([&] { return !d.server->alive(); }));
  ASSERT_TRUE(eventually([&] { return !manager.bus->up(); }));
  const auto restarted = d.server->restart();
  ASSERT_TRUE(restarted) << to_string(restarted.error());

  EXPECT_EQ(d.server->port(), port);
  ASSERT_TRUE(manager.bus->wait_until_up(10s)) << "the account is gone";
  const auto state = stream_info(*manager.bus, "AUDIT", 5s);
  ASSERT_TRUE(state) << to_string(state.error());
  EXPECT_EQ(state->last_sequence, stored->sequence);
}

TEST(embedded_server, another_process_finds_the_port_and_data_again) {
  const temporary_directory directory;
  const auto keyring = trust::create();
  const server_options options{
    .directory = directory.path(),
    .operator_jwt = keyring.operator_jwt(wall_now()),
    .system_account = keyring.system_account(),
    .accounts = {{keyring.system_account(), keyring.system_account_jwt(wall_now())}}};
  auto first = embedded_server::start(options);
  ASSERT_TRUE(first) << to_string(first.error());
  const auto port = (*first)->port();
  (*first)->stop();
  EXPECT_FALSE((*first)->alive());
  const auto second = embedded_server::start(options);
  ASSERT_TRUE(second) << to_string(second.error());
  EXPECT_EQ((*second)->port(), port);
}

TEST(embedded_server, dies_with_a_killed_parent_and_the_next_one_waits_for_that) {
  const temporary_directory directory;
  const auto keyring = trust::create();
  const server_options options{
    .directory = directory.path(),
    .operator_jwt = keyring.operator_jwt(wall_now()),
    .system_account = keyring.system_account(),
    .accounts = {{keyring.system_account(), keyring.system_account_jwt(wall_now())}}};
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    const auto started = embedded_server::start(options);
    const pid_t child = started ? (*started)->pid() : -1;
    const auto written = write(ready[1], &child, sizeof child);
    for (;;)
      pause();
    _exit(written > 0 ? 0 : 1);
  }
  pid_t child = -1;
  ASSERT_EQ(read(ready[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  ASSERT_GT(child, 0);
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  const auto next = embedded_server::start(options);
  ASSERT_TRUE(next) << to_string(next.error());
  EXPECT_FALSE(runs(child)) << "the old server still runs";
  close(ready[0]);
  close(ready[1]);
}

TEST(embedded_server, a_configuration_it_refuses_is_reported_in_its_own_words) {
  const temporary_directory directory;
  const auto started = embedded_server::start(
    {.directory = directory.path(), .operator_jwt = "nonsense", .system_account = "none"});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, errc::unavailable);
  EXPECT_NE(started.error().message.find("nonsense"), std::string::npos) << started.error().message;
}

TEST(embedded_server, a_missing_binary_is_said_so) {
  const temporary_directory directory;
  const auto started =
    embedded_server::start({.directory = directory.path(), .binary = "no-such-nats-server"});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, errc::not_found);
}

TEST(embedded_server, another_servers_port_is_refused_and_not_shared) {
  const bus_deployment d;
  const temporary_directory directory;
  const auto keyring = trust::create();
  const auto started = embedded_server::start(
    {.directory = directory.path(),
     .port = d.server->port(),
     .operator_jwt = keyring.operator_jwt(wall_now()),
     .system_account = keyring.system_account(),
     .accounts = {{keyring.system_account(), keyring.system_account_jwt(wall_now())}}});
  EXPECT_FALSE(started);
}

} // namespace
