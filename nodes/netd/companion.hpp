// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "nodes/netd/remote.hpp"
#include "nodes/privileges/capabilities.hpp"

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

namespace marchproxy::netd {

/// What a proxy may want of netd.
struct tasks {
  bool packets = false;     ///< programs and maps of the tier ebpf
  bool low_ports = false;   ///< sockets with ports below 1024
  bool transparent = false; ///< sockets for TPROXY, and wide buffers of UDP listeners

  [[nodiscard]] bool none() const noexcept { return !packets && !low_ports && !transparent; }
  bool operator==(const tasks&) const = default;
};

/// What they take.
[[nodiscard]] privileges::capability_set capabilities_for(const tasks& t) noexcept;
/// Those of @p wanted for which this thread holds all that they take.
[[nodiscard]] tasks possible(const tasks& wanted) noexcept;

/// Where netd is: beside this program, or in the neighbouring folder `netd`, as in a build.
/// @errors not_found naming both
[[nodiscard]] result<std::filesystem::path> find_program();

/// The process marchproxy-netd of this process. It has this process's network namespace, and ends
/// when this object and all remotes are gone.
class companion {
public:
  /// Starts it. Before other threads, and before this process gives up its capabilities.
  /// @param t  not none(), and possible
  /// @errors not_found; unavailable, unsupported when it does not come up
  [[nodiscard]] static result<std::unique_ptr<companion>>
  start(const std::filesystem::path& program, const tasks& t);
  companion(const companion&) = delete;
  companion& operator=(const companion&) = delete;
  /// Waits a moment for its end.
  ~companion();

  /// Null unless it has the task packets.
  [[nodiscard]] const std::shared_ptr<remote>& packets() const noexcept { return packets_; }
  /// Null unless it has tasks for sockets.
  [[nodiscard]] const std::shared_ptr<remote>& sockets() const noexcept { return sockets_; }
  [[nodiscard]] privileges::capability_set keeps() const noexcept {
    return capabilities_for(tasks_);
  }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// False once it has ended. Any thread.
  [[nodiscard]] bool alive() const;

private:
  companion(const tasks& t, pid_t pid) : tasks_(t), pid_(pid) {}

  tasks tasks_;
  pid_t pid_;
  std::shared_ptr<remote> packets_;
  std::shared_ptr<remote> sockets_;
  mutable std::mutex lock_;
  mutable bool ended_ = false; ///< and is no child any more
};

} // namespace marchproxy::netd
