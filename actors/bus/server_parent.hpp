// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <sys/types.h>

#include <filesystem>
#include <memory>

namespace marchproxy::bus {

/// Who starts the private nats-server as its child, waits for its end and signals it.
class server_parent {
public:
  struct plan {
    std::filesystem::path binary;
    std::filesystem::path configuration;
    int lock_file = -1; ///< which the child holds as long as it lives
    int errors = -1;    ///< where its output goes
  };

  server_parent() = default;
  server_parent(const server_parent&) = delete;
  server_parent& operator=(const server_parent&) = delete;
  virtual ~server_parent() = default;

  /// From the thread that calls wait() then, which lives as long as the child.
  /// @return its process id; -1 when it could not be started
  [[nodiscard]] virtual pid_t start(const plan& p) = 0;
  /// Blocks until it has ended. Its process id goes to no other process before forget().
  virtual void wait() noexcept = 0;
  virtual void forget() noexcept = 0;
  /// Between start() and forget(), from any thread.
  virtual void signal(int number) noexcept = 0;
};

/// This process itself.
[[nodiscard]] std::unique_ptr<server_parent> own_parent();

/// A process that is forked off now, can start just this and nothing else, and ends with this one.
/// For a process that gives up fork and execve. Before other threads start.
/// @param low_port  the server may listen on a port below 1024, where this process may
/// @errors unavailable with the kernel's reason
[[nodiscard]] result<std::unique_ptr<server_parent>> fork_parent(
  const std::filesystem::path& binary, const std::filesystem::path& configuration, bool low_port);

/// In a child between fork and execve: only calls that are safe in a signal handler.
/// @param parent  with which the child shall end
[[noreturn]] void become_server(
  const char* binary, const char* configuration, int lock_file, int errors, pid_t parent);

} // namespace marchproxy::bus
