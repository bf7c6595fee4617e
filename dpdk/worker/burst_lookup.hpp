// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "dpdk/worker/judge.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace marchproxy::packet_worker {

/// decide() for many IPv4 tuples at once, each a step at a time: while one waits for its line of
/// memory, the others go on. In a policy that fits no cache a lookup reads about ten lines one
/// after the other. hot path
class burst_lookup {
public:
  static constexpr std::size_t room = 64;
  /// Bytes of an image up to which one decide() after the other is faster (bench_packet_worker).
  static constexpr std::size_t cached_image = std::size_t{1} << 20;

  /// Begins with no tuple, for @p image.
  void begin(const std::byte* image) noexcept {
    image_ = image;
    count_ = 0;
  }
  /// @param tuple  IPv4, as its originator sends; lives until run() @param to  gets the rule
  void add(const mp_tuple& tuple, mp_rule& to) noexcept {
    auto& w = walks_[count_++];
    w = walk{&tuple, &to};
    const auto& header = header_of(image_);
    w.source.at = header.source4 + (ipv4_of(tuple.source) >> 16);
    w.target.at = header.target4 + (ipv4_of(tuple.destination) >> 16);
    ahead_of(w.source);
    ahead_of(w.target);
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  void run() noexcept;

private:
  /// In the tree of one end. `at` is the index of the entry that is to be read; 0: `entry` is
  /// already there.
  struct end {
    std::uint32_t at = 0;
    std::uint32_t entry = 0;
  };
  struct walk {
    const mp_tuple* tuple = nullptr;
    mp_rule* to = nullptr;
    end source{};
    end target{};
    mp_match match{};
  };

  void ahead_of(const end& e) const noexcept { __builtin_prefetch(image_ + std::size_t{e.at} * 4); }
  [[nodiscard]] const std::byte* unit(std::uint32_t ref) const noexcept {
    return &image_[std::size_t{ref} * 16];
  }
  void read_entry(end& e) const noexcept;
  void step(end& e, std::uint32_t slot) const noexcept;
  [[nodiscard]] bool start_match(walk& w) const noexcept;
  void ahead_of_list(std::uint32_t ref) const noexcept;

  const std::byte* image_ = nullptr;
  std::size_t count_ = 0;
  std::array<walk, room> walks_{};
  std::array<std::uint8_t, room> going_{};
};

} // namespace marchproxy::packet_worker
