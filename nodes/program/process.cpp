// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/program/process.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace marchproxy::program {

namespace {

double seconds(const timeval& t) noexcept {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}

std::uint64_t open_descriptors() {
  std::error_code ignored;
  std::filesystem::directory_iterator all{"/proc/self/fd", ignored};
  auto count = static_cast<std::uint64_t>(std::distance(begin(all), end(all)));
  return count == 0 ? 0 : count - 1; // one is the listing's own
}

std::uint64_t resident_bytes() {
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  std::ifstream{"/proc/self/statm"} >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

} // namespace

process_usage usage_of_process() {
  process_usage out;
  out.open_descriptors = open_descriptors();
  out.resident_bytes = resident_bytes();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
    out.most_descriptors = limit.rlim_cur;
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) == 0)
    out.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  return out;
}

std::uint64_t raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return 0;
  auto wanted = rlimit{limit.rlim_max, limit.rlim_max};
  if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &wanted) == 0)
    return wanted.rlim_cur;
  return limit.rlim_cur;
}

} // namespace marchproxy::program
