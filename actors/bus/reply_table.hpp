// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/message.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace marchproxy::bus {

/// The requests of one connection that wait for an answer. Each handler is called once: by the
/// answer, by its deadline or by the loss of the link, whichever comes first. Handlers run outside
/// the lock. Thread-safe.
class reply_table {
public:
  using clock = std::chrono::steady_clock;
  using handler = std::function<void(result<message>)>;

  /// @returns the token that ends the reply subject
  [[nodiscard]] std::string add(clock::time_point deadline, handler on_reply);
  /// Takes a request back: its handler is not called. @returns false if it was called already
  bool remove(const std::string& token);
  /// The answer that arrived on `<inbox>.<nonce>.<token>`; ignored if nobody waits for it any more.
  void answer(message m);
  /// Fails what is overdue.
  void expire(clock::time_point now);
  [[nodiscard]] std::optional<clock::time_point> next_deadline() const;
  void fail_all(const error& why);

private:
  struct waiting {
    clock::time_point deadline;
    handler on_reply;
  };
  [[nodiscard]] handler take(std::uint64_t token);

  mutable std::mutex mutex_;
  std::uint64_t next_ = 0;
  std::map<std::uint64_t, waiting> waiting_;
  std::set<std::pair<clock::time_point, std::uint64_t>> deadlines_;
};

} // namespace marchproxy::bus
