// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace marchproxy::routing {

/// How many retries of one route may be under way at once: a share of what is under way, and a few
/// in any case. Without it, retries would multiply an outage. Any thread, without locks; only a
/// retry touches it.
class retry_budget {
public:
  static constexpr std::uint32_t floor = 3; ///< at once, whatever the share comes to

  /// @param percent  of what is under way
  explicit retry_budget(std::uint32_t percent) noexcept : percent_(percent) {}
  retry_budget(const retry_budget&) = delete;
  retry_budget& operator=(const retry_budget&) = delete;
  ~retry_budget() = default;

  /// While one is there, a retry is under way. The budget outlives it.
  class use {
  public:
    use() = default;
    use(use&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    use& operator=(use&& other) noexcept {
      if (this != &other) {
        reset();
        of_ = std::exchange(other.of_, nullptr);
      }
      return *this;
    }
    ~use() { reset(); }
    explicit operator bool() const noexcept { return of_ != nullptr; }
    void reset() noexcept {
      if (of_ != nullptr)
        of_->retries_.fetch_sub(1, std::memory_order_relaxed);
      of_ = nullptr;
    }

  private:
    friend class retry_budget;
    explicit use(retry_budget& of) noexcept : of_(&of) {}
    retry_budget* of_ = nullptr;
  };
  /// @param under_way  requests and connections, those that are retries included
  /// @return           empty: the budget is spent
  [[nodiscard]] use take(std::uint64_t under_way) noexcept;

private:
  const std::uint32_t percent_;
  std::atomic<std::uint32_t> retries_{0};
};

} // namespace marchproxy::routing
