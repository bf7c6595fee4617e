// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>

namespace marchproxy::program {

/// What this process holds and has used, by the kernel. The metrics of it have Prometheus' usual
/// names (process_open_fds and so on).
struct process_usage {
  std::uint64_t open_descriptors = 0;
  std::uint64_t most_descriptors = 0; ///< it may have; RLIMIT_NOFILE
  std::uint64_t resident_bytes = 0;
  double cpu_seconds = 0; ///< user and system
};
/// What the kernel does not tell is 0.
[[nodiscard]] process_usage usage_of_process();

/// Takes as many descriptors as the process may: services are often started with 1,024, and each
/// flow takes two.
/// @return the limit now in force; 0 when it could not be read
std::uint64_t raise_descriptor_limit() noexcept;

} // namespace marchproxy::program
