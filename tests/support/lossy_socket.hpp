// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::test {

/// Stands between PostgreSQL and its client on Unix sockets and breaks the connection at a commit,
/// on demand.
class lossy_socket {
public:
  enum class loss : std::uint8_t {
    nothing,
    request, ///< the commit never reaches the server
    answer,  ///< the server commits and the client does not hear of it
  };

  /// @param server  path of the server's socket
  explicit lossy_socket(std::string server);
  lossy_socket(const lossy_socket&) = delete;
  lossy_socket& operator=(const lossy_socket&) = delete;
  ~lossy_socket();

  /// Where clients find the socket: libpq's `host`.
  [[nodiscard]] const std::string& directory() const noexcept { return directory_; }
  void lose_next_commit(loss how) { next_ = how; }
  /// How many commits were lost.
  [[nodiscard]] int lost() const { return lost_; }

private:
  void accept_clients();
  void relay(int client, int server);
  [[nodiscard]] bool take(loss how);

  std::string server_;
  std::string directory_;
  int listener_ = -1;
  std::atomic<loss> next_{loss::nothing};
  std::atomic<int> lost_{0};
  std::atomic<bool> stopping_{false};
  std::jthread acceptor_;
};

} // namespace marchproxy::test
