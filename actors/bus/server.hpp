// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/server_parent.hpp"

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace marchproxy::bus {

struct server_options {
  /// Created with mode 0700. Everything lives in it: configuration, accounts, streams, log, the
  /// port in use.
  std::filesystem::path directory;
  std::string host = "127.0.0.1"; ///< the address to listen on; 0.0.0.0 for every one
  /// 0: the port of the last run in this directory, so that clients find the server again; a free
  /// one the first time.
  std::uint16_t port = 0;
  std::string operator_jwt = {};
  std::string system_account = {};
  /// Account public key -> JWT, for what must exist before anybody can push: the system account at
  /// least.
  std::map<std::string, std::string> accounts = {};
  std::filesystem::path binary =
    "nats-server"; ///< looked up in PATH and in /usr/sbin unless it is a path
  std::uint64_t store_limit_bytes = std::uint64_t{16} << 30;
  std::chrono::milliseconds start_timeout{15'000};
  /// Who starts it; null: this process itself. One that was made by fork_parent() was made for
  /// `binary` as find_binary() has it and configuration_of(directory).
  std::shared_ptr<server_parent> parent = {};
};

/// The server's configuration file in its directory.
[[nodiscard]] std::filesystem::path configuration_of(const std::filesystem::path& directory);
/// Where a server_options::binary is. @errors not_found
[[nodiscard]] result<std::filesystem::path> find_binary(const std::filesystem::path& name);

/// A private nats-server as a child process (BUS-1's embedded default): operator mode, full account
/// resolver, JetStream that syncs each write before it acknowledges. The child dies with this
/// process, even when that is killed; a later start in the same directory waits until it is gone.
/// What the const functions say may be asked from any thread; restart() and stop() belong to one
/// owner.
class embedded_server {
public:
  /// Returns once the server takes connections.
  /// @errors unavailable, with the server's own words if it said any
  [[nodiscard]] static result<std::unique_ptr<embedded_server>> start(server_options options);
  embedded_server(const embedded_server&) = delete;
  embedded_server& operator=(const embedded_server&) = delete;
  embedded_server(embedded_server&&) = delete;
  embedded_server& operator=(embedded_server&&) = delete;
  /// As stop().
  ~embedded_server();

  /// nats://host:port for clients on this machine.
  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] pid_t pid() const;
  [[nodiscard]] bool alive() const;
  /// Starts it anew on the same port and data, whether it runs or has died.
  [[nodiscard]] result<void> restart();
  /// Ends it in good order; by force after ten seconds.
  void stop();

private:
  explicit embedded_server(server_options options);
  [[nodiscard]] result<void> launch();
  [[nodiscard]] result<void> wait_until_ready();
  void keep_child(const std::filesystem::path& binary, int lock_file);

  const server_options options_;
  const std::shared_ptr<server_parent> parent_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1; ///< -1 when no child runs
  bool forked_ = false;
  std::thread keeper_;
};

} // namespace marchproxy::bus
