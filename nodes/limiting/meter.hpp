// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/strong_id.hpp"
#include "nodes/limiting/source_table.hpp"

#include <compare>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

namespace marchproxy::limiting {

/// Whose limit it is. The names reach clients and metrics (to_string).
struct subject {
  enum class kind : std::uint8_t { mapping, service };
  kind of = kind::mapping;
  std::uint64_t id = 0;

  auto operator<=>(const subject&) const = default;
};
/// Which of the limits; named as in the model.
enum class limit_kind : std::uint8_t { connections, max_connections, requests, packets, bytes };

[[nodiscard]] std::string_view to_string(subject::kind k) noexcept;
[[nodiscard]] std::string_view to_string(limit_kind k) noexcept;

/// The limits of one mapping or service and how much of them is used. Workers and revisions share
/// it. Any thread.
class meter {
public:
  meter(subject of, const model::limits& limits, clock::time_point now);
  meter(const meter&) = delete;
  meter& operator=(const meter&) = delete;

  [[nodiscard]] const subject& of() const noexcept { return of_; }
  [[nodiscard]] const model::limits& limits() const noexcept { return limits_; }
  [[nodiscard]] const limit_terms& terms() const noexcept { return terms_; }
  [[nodiscard]] duration since(clock::time_point now) const noexcept { return now - beginning_; }
  /// Times that a source had to share with others, since there were too many; see source_table.
  [[nodiscard]] std::uint64_t crowded() const noexcept;

  /// Whoever holds it may use the buckets that are @p source's.
  class hold {
  public:
    hold() = default;
    hold(std::shared_ptr<meter> of, const ip_address& source, clock::time_point now);
    hold(hold&& other) noexcept
      : of_(std::move(other.of_)), set_(std::exchange(other.set_, nullptr)) {}
    hold& operator=(hold&& other) noexcept {
      std::swap(of_, other.of_);
      std::swap(set_, other.set_);
      return *this;
    }
    ~hold();

    [[nodiscard]] explicit operator bool() const noexcept { return set_ != nullptr; }
    [[nodiscard]] const meter& of() const noexcept { return *of_; }
    [[nodiscard]] bucket_set& buckets() const noexcept { return *set_; }

  private:
    std::shared_ptr<meter> of_;
    bucket_set* set_ = nullptr;
  };

private:
  [[nodiscard]] bucket_set& buckets_of(const ip_address& source, clock::time_point now);

  const subject of_;
  const model::limits limits_;
  const limit_terms terms_;
  const clock::time_point beginning_;
  bucket_set together_;
  std::once_flag first_source_;
  std::atomic<source_table*> sources_{nullptr}; ///< made when the first source comes
  std::unique_ptr<source_table> table_;
};

} // namespace marchproxy::limiting
