// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// What the benchmark programs have in common: rounds, and the lines that tell of them.

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

namespace marchproxy::bench {

inline constexpr int rounds = 7;

/// CPU time of the calling thread: other work on the machine costs it caches, but no time.
inline double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Whether every line so far met its goal.
inline bool& all_ok() {
  static bool value = true;
  return value;
}

/// One result, as a JSON object.
inline void line(const char* name, double ours, double against, double ratio, double goal) {
  auto ok = ratio <= goal;
  all_ok() = all_ok() && ok;
  std::printf(
    "{\"name\":\"%s\",\"ours\":%.3f,\"against\":%.3f,\"ratio\":%.3f,\"goal\":%.3f,\"ok\":%s}\n",
    name, ours, against, ratio, goal, ok ? "true" : "false");
  std::fflush(stdout);
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Medians of A and B in rounds A B B A A B ..., and of their ratios.
struct compared {
  double a = 0;
  double b = 0;
  double ratio = 0;
};
inline compared alternate(const std::function<double()>& a, const std::function<double()>& b) {
  std::vector<double> as;
  std::vector<double> bs;
  std::vector<double> ratios;
  for (int i = 0; i < rounds; ++i) {
    auto first = i % 2 == 0 ? a() : b();
    auto second = i % 2 == 0 ? b() : a();
    as.push_back(i % 2 == 0 ? first : second);
    bs.push_back(i % 2 == 0 ? second : first);
    ratios.push_back(as.back() / bs.back());
  }
  return {median(as), median(bs), median(ratios)};
}

} // namespace marchproxy::bench
