// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#pragma once

#include "actors/base/ip.hpp"
#include "nodes/limiting/bucket.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

namespace marchproxy::limiting {

/// What limits say, as buckets read it.
struct limit_terms {
  explicit limit_terms(const model::limits& limits);

  std::optional<bucket_terms> connections;
  std::optional<bucket_terms> requests;
  std::optional<bucket_terms> packets;
  std::optional<bucket_terms> bytes;
  std::uint32_t max_connections; ///< 0: any number
};

/// The state of limits: of all flows together, or of one source.
struct bucket_set {
  bucket connections;
  bucket requests;
  bucket packets;
  bucket bytes;
  std::atomic<std::uint32_t> open{0};    ///< connections
  std::atomic<std::uint32_t> waiting{0}; ///< flows that wait for bytes

  /// Says nothing that a new one would not say.
  [[nodiscard]] bool fresh(const limit_terms& terms, duration since) const noexcept;
  /// Goes on where @p other is, but for what is open. Only while nobody else uses this one.
  void copy_spent(const bucket_set& other) noexcept;
};

/// The sources of a limit: an IPv4 address, or the /64 of an IPv6 address, which is what one
/// subscriber has. Never 0.
[[nodiscard]] std::uint64_t source_key(const ip_address& source) noexcept;

/// Bucket sets by source, a bounded number of them. Any number of threads; only a source's first
/// flow takes a lock.
///
/// A place is given to another source only when its set is fresh and nobody holds it, so no flood
/// of sources takes anybody's debt away. A source that finds no place shares one set with all
/// others that find none: a flood costs newcomers their share, not the limit its meaning. When such
/// a source finds a place later it goes on with what that set had spent.
class source_table {
public:
  static constexpr std::size_t default_places = 16'384; ///< of 64 bytes

  /// @param places  a power of two
  explicit source_table(const limit_terms& terms, std::size_t places = default_places);

  /// The set of @p key, held until release(). @param since  time since the terms' beginning
  [[nodiscard]] bucket_set& hold(std::uint64_t key, duration since);
  void release(bucket_set& held) noexcept;
  /// Times that a source found no place.
  [[nodiscard]] std::uint64_t crowded() const noexcept {
    return crowded_.load(std::memory_order_relaxed);
  }

private:
  static constexpr std::size_t reach = 16; ///< places where a source may be
  static constexpr std::uint32_t claimed = 1U << 31;

  struct alignas(64) place : bucket_set {
    std::atomic<std::uint64_t> key{0}; ///< 0: nobody's
    std::atomic<std::uint32_t> holders{0};
  };

  [[nodiscard]] place& at(std::uint64_t hash, std::size_t step) const noexcept {
    return places_[(hash + step) & mask_];
  }
  [[nodiscard]] place* find(std::uint64_t key, std::uint64_t hash) const noexcept;
  [[nodiscard]] bucket_set& settle(std::uint64_t key, std::uint64_t hash, duration since);
  [[nodiscard]] bool claim(place& p, duration since) const noexcept;

  const limit_terms& terms_;
  const std::uint64_t seed_; ///< nobody can choose sources that meet at one place
  const std::size_t mask_;
  const std::unique_ptr<place[]> places_;
  bucket_set crowd_; ///< of those that found no place
  std::atomic<std::uint64_t> crowded_{0};
  std::mutex settling_;
};

} // namespace marchproxy::limiting
