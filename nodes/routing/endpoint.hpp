// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/strong_id.hpp"
#include "nodes/wire/host.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace marchproxy::routing {

using clock = std::chrono::steady_clock;

/// When a backend that fails is left out for a while (passive outlier ejection).
struct ejection_terms {
  std::uint32_t failures = 3;                        ///< in a row
  std::chrono::milliseconds shortest{5'000};         ///< the first time
  std::chrono::milliseconds longest{5 * 60 * 1'000}; ///< doubles each time up to this
};

/// One backend as everybody who sends to it sees it. All workers share it, without locks; what it
/// says of itself may be a moment old.
class endpoint {
public:
  /// @param since  it is new then
  endpoint(service_id service,
           wire::host_port target,
           ejection_terms terms,
           clock::time_point since = clock::now());
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;

  [[nodiscard]] service_id service() const noexcept { return service_; }
  [[nodiscard]] const wire::host_port& target() const noexcept { return target_; }
  /// Of the target's text; the same in every process.
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }

  /// Requests or connections under way.
  [[nodiscard]] std::uint32_t active() const noexcept {
    return active_.load(std::memory_order_relaxed);
  }
  /// Neither left out after failures, nor down by its health check.
  [[nodiscard]] bool usable(clock::time_point now) const noexcept;
  /// By its health check; true when it has none.
  [[nodiscard]] bool up() const noexcept { return up_.load(std::memory_order_relaxed); }
  void set_up(bool up, clock::time_point now = clock::now()) noexcept;
  /// How much of its share it has at @p now, of (0, 1]: from when it was new, or came back, it
  /// grows from a hundredth to the whole in @p over.
  /// @param over  at least 1 ms
  [[nodiscard]] double share(clock::time_point now, std::chrono::milliseconds over) const noexcept;
  /// Times that it was left out.
  [[nodiscard]] std::uint64_t ejections() const noexcept {
    return ejections_.load(std::memory_order_relaxed);
  }

  void succeeded() noexcept;
  /// It could not be reached, or broke off before it answered.
  void failed(clock::time_point now) noexcept;

  /// While one is there, something is under way.
  class use {
  public:
    use() = default;
    explicit use(std::shared_ptr<endpoint> of) noexcept : of_(std::move(of)) {
      if (of_)
        of_->active_.fetch_add(1, std::memory_order_relaxed);
    }
    /// Empty when @p most are under way already; 0: there is no bound.
    [[nodiscard]] static use within(const std::shared_ptr<endpoint>& of,
                                    std::uint32_t most) noexcept;
    use(use&& other) noexcept : of_(std::move(other.of_)) { other.of_.reset(); }
    use& operator=(use&& other) noexcept {
      if (this != &other) {
        reset();
        of_ = std::move(other.of_);
        other.of_.reset();
      }
      return *this;
    }
    ~use() { reset(); }
    [[nodiscard]] endpoint* get() const noexcept { return of_.get(); }
    void reset() noexcept {
      if (of_)
        of_->active_.fetch_sub(1, std::memory_order_relaxed);
      of_.reset();
    }

  private:
    struct counted {};
    use(counted, std::shared_ptr<endpoint> of) noexcept : of_(std::move(of)) {}
    std::shared_ptr<endpoint> of_;
  };

private:
  const service_id service_;
  const wire::host_port target_;
  const std::uint64_t hash_;
  const ejection_terms terms_;
  std::atomic<std::uint32_t> active_{0};
  std::atomic<bool> up_{true};
  std::atomic<clock::rep> since_;           ///< of clock: new, or up again
  std::atomic<std::uint32_t> failures_{0};  ///< since the last success
  std::atomic<std::uint32_t> times_out_{0}; ///< ejections without a success since
  std::atomic<clock::rep> out_until_{0};    ///< of clock
  std::atomic<std::uint64_t> ejections_{0};
};

/// The endpoints that exist: who asks for the same place gets the same one as long as anybody has
/// it. Any thread.
class endpoints {
public:
  explicit endpoints(ejection_terms terms = {}) : terms_(terms) {}
  [[nodiscard]] std::shared_ptr<endpoint> at(service_id service, const wire::host_port& target);

private:
  const ejection_terms terms_;
  std::mutex lock_;
  std::map<std::pair<service_id, std::string>, std::weak_ptr<endpoint>> known_;
};

} // namespace marchproxy::routing
