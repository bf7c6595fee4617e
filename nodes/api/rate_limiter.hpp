// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/time.hpp"

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

namespace marchproxy::api {

/// A token bucket for each client, in this process. Thread-safe; holds at most max_clients buckets.
class rate_limiter {
public:
  static constexpr std::size_t max_clients = 16'384;

  /// @param burst  calls at once; @param per_second  what flows back
  rate_limiter(double burst, double per_second);

  /// Takes one call of @p client; false when it has none left.
  [[nodiscard]] bool allow(const std::string& client, time_point now);

private:
  struct bucket {
    double level = 0;
    time_point seen;
  };
  [[nodiscard]] double refilled(const bucket& of, time_point now) const noexcept;
  void make_room(time_point now);

  double burst_;
  double per_second_;
  std::mutex mutex_;
  std::unordered_map<std::string, bucket> buckets_;
  time_point swept_; ///< when full buckets were last thrown out
};

} // namespace marchproxy::api
