// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/net/lease_store.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace marchproxy::net {

/// Leases as they lie on disk: docs/architecture/state-directory.md.
[[nodiscard]] std::string write_leases(const std::vector<named_lease>& leases);
/// Name, addresses and `ends` of each; the rest is the reader's.
/// @errors corrupt, with the line, when anything is not as write_leases() writes it
[[nodiscard]] result<std::vector<named_lease>> read_leases(std::string_view text);

/// Keeps a store's leases over restarts: reads the file when it is made, and writes it in a thread
/// of its own while the store changes, and at the end.
class lease_file {
public:
  static constexpr std::chrono::seconds write_pause{5}; ///< a crash loses the leases of this long
  using problem_sink = std::function<void(const std::string&)>;

  /// @param problem  is told of a file that is damaged or cannot be written; from here and from
  /// the thread
  lease_file(std::shared_ptr<lease_store> store,
             std::filesystem::path path,
             problem_sink problem,
             std::chrono::milliseconds pause = write_pause);
  lease_file(const lease_file&) = delete;
  lease_file& operator=(const lease_file&) = delete;
  /// Writes what has changed, unless let_go() came before.
  ~lease_file();

  /// Another process writes the file from now on.
  void let_go();

private:
  void read();
  void write();
  void follow(const std::stop_token& stop);

  std::shared_ptr<lease_store> store_;
  std::filesystem::path path_;
  problem_sink problem_;
  std::chrono::milliseconds pause_;
  std::uint64_t written_ = 0; ///< changes of the store that are in the file
  bool failing_ = false;
  std::jthread thread_;
};

} // namespace marchproxy::net
