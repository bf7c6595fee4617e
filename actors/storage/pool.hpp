// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/storage/sql.hpp"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace marchproxy::storage {

/// A bounded number of connections to one database, opened when first needed. Thread-safe; outlives
/// its leases.
class pool {
public:
  struct settings {
    std::size_t connections = 4; ///< PostgreSQL; SQLite has one, because it has one writer
    std::chrono::milliseconds patience{
      10'000}; ///< for a free connection, and for all tries of with_retries together
    std::chrono::milliseconds first_pause{
      5}; ///< doubles with each try, with jitter, up to a second
    int tries = 8;
  };

  /// Opens one connection, so that a wrong URL is known at once.
  [[nodiscard]] static result<std::unique_ptr<pool>> open(std::string database_url,
                                                          settings limits);

  /// A connection for as long as this object lives; an unusable one is dropped when it comes back.
  class lease {
  public:
    lease(pool& owner, std::unique_ptr<connection> held) : owner_(&owner), held_(std::move(held)) {}
    lease(lease&&) noexcept = default;
    lease& operator=(lease&&) = delete;
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;
    ~lease() {
      if (held_)
        owner_->give_back(std::move(held_));
    }
    [[nodiscard]] connection& operator*() const noexcept { return *held_; }
    [[nodiscard]] connection* operator->() const noexcept { return held_.get(); }

  private:
    pool* owner_;
    std::unique_ptr<connection> held_;
  };

  /// @errors unavailable if none comes free in time, or the database cannot be reached
  [[nodiscard]] result<lease> acquire();

  /// Calls `fn(connection&, int attempt)` on a leased connection until it succeeds, fails for good,
  /// or the tries or the patience are used up. Transient are `unavailable`, and `timeout` of a
  /// commit: fn must be safe to repeat in that case, by finding out what became of the try before,
  /// or by being idempotent.
  template <class Fn>
  [[nodiscard]] auto with_retries(Fn&& fn) -> decltype(fn(std::declval<connection&>(), 0)) {
    retry_clock clock(limits_);
    for (int attempt = 0;; ++attempt) {
      auto outcome = [&]() -> decltype(fn(std::declval<connection&>(), 0)) {
        auto leased = acquire();
        if (!leased)
          return tl::unexpected(leased.error());
        return fn(**leased, attempt);
      }();
      if (outcome || !transient(outcome.error()) || !clock.pause(attempt))
        return outcome;
    }
  }

  [[nodiscard]] dialect kind() const noexcept { return kind_; }

private:
  class retry_clock {
  public:
    explicit retry_clock(const settings& limits);
    /// Waits before try @p attempt + 1; false when there is none.
    [[nodiscard]] bool pause(int attempt);

  private:
    settings limits_;
    std::chrono::steady_clock::time_point deadline_;
  };

  pool(std::string url, dialect kind, settings limits)
    : url_(std::move(url)), kind_(kind), limits_(limits) {}
  static bool transient(const error& e) noexcept;
  void give_back(std::unique_ptr<connection> held);

  const std::string url_;
  const dialect kind_;
  const settings limits_;
  std::mutex guard_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<connection>> idle_;
  std::size_t open_ = 0; ///< idle and leased
};

} // namespace marchproxy::storage
