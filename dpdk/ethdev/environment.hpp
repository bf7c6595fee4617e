// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <cstddef>
#include <string>
#include <vector>

struct rte_mempool;

namespace marchproxy::ethdev {

struct environment_options {
  std::vector<std::string> devices; ///< PCI addresses; none: no PCI device is looked at
  std::size_t memory_mib = 128;     ///< for buffers and rings
  std::size_t buffers =
    16'383; ///< frames in flight, of all ports; best one less than a power of two
};

/// The arguments that DPDK's environment is started with: nothing on disk, no telemetry socket, no
/// PCI device that was not listed, the machine's own network card least of all.
/// @param core        one that the process may run on; nothing of ours runs by it
/// @param huge_pages  there are free ones
[[nodiscard]] std::vector<std::string>
arguments(const environment_options& options, int core, bool huge_pages);

/// DPDK's environment (EAL) and the frame buffers of all its ports. Once in a process, and until
/// its end: DPDK cannot be started twice.
class environment {
public:
  /// Starts it at the first call; later calls return what is there, whatever @p options say.
  /// The calling thread keeps the cores it may run on.
  /// @errors unsupported, with DPDK's own reason
  [[nodiscard]] static result<environment*> start(const environment_options& options);

  [[nodiscard]] rte_mempool* buffers() const noexcept { return buffers_; }
  [[nodiscard]] std::size_t buffers_in_use() const noexcept;
  [[nodiscard]] bool huge_pages() const noexcept { return huge_pages_; }

private:
  environment() = default;
  [[nodiscard]] result<void> begin(const environment_options& options);

  rte_mempool* buffers_ = nullptr;
  bool huge_pages_ = false;
};

} // namespace marchproxy::ethdev
