// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <sys/types.h>

#include <memory>
#include <string>

namespace marchproxy::test {

/// A PostgreSQL server of the test's own: a fresh cluster in a temporary directory, a Unix socket
/// there, no TCP. It ends with this object, and with the test's process. Not thread-safe.
class postgres_server {
public:
  /// Uses the newest installed version. PostgreSQL refuses to run as root, so a root test runs it
  /// as user postgres.
  /// @errors unsupported if PostgreSQL is not installed; unavailable if it does not start in time
  [[nodiscard]] static result<std::unique_ptr<postgres_server>> start();
  /// One for all tests of this process, started when first asked for. Ends the process if it cannot
  /// be started.
  [[nodiscard]] static postgres_server& shared();

  postgres_server(const postgres_server&) = delete;
  postgres_server& operator=(const postgres_server&) = delete;
  ~postgres_server();

  /// URL of a new, empty database.
  [[nodiscard]] std::string new_database();
  /// Path of its socket.
  [[nodiscard]] std::string socket() const { return directory_ + "/.s.PGSQL.5432"; }
  /// @p url, which new_database() gave, by way of a socket of the same name in @p directory.
  [[nodiscard]] std::string by_way_of(const std::string& directory, const std::string& url) const;

private:
  postgres_server(std::string directory, pid_t process)
    : directory_(std::move(directory)), process_(process) {}
  [[nodiscard]] std::string url_of(const std::string& database) const;

  std::string directory_;
  pid_t process_;
  int databases_ = 0;
};

} // namespace marchproxy::test
