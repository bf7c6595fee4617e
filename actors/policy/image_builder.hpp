// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/image_pages.hpp"
#include "bpf/abi/rules.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace marchproxy::policy {

__extension__ using radix_key = unsigned __int128;

/// From `start` up to the next piece's start every key has this value. The first piece of a
/// function starts at 0.
struct radix_piece {
  radix_key start = 0;
  std::uint32_t value = 0;
};

/// Lays a rule image out: pages in one growing piece of memory, structures that never cross a page,
/// radix trees over piecewise-constant functions. Page 0 is the header's.
class image_builder {
public:
  explicit image_builder(std::size_t expected_bytes);

  /// A list of at most MP_LIST_ATOMS atoms.
  /// @param rules  by rank
  /// @return its ref
  std::uint32_t
  add_list(const mp_list& head, std::span<const mp_atom> atoms, std::span<const mp_rule> rules);

  /// The IPv4 tree: 65,536 first-level entries. @return entry index of the first
  std::uint32_t add_tree4(std::span<const radix_piece> pieces);
  struct tree6 {
    std::uint32_t root = 0; ///< entry
    mp_jump jump{};
  };
  /// The IPv6 tree, and a jump table when many descents can start further down.
  tree6 add_tree6(std::span<const radix_piece> pieces);
  /// The three-level tree over source classes. @return entry
  std::uint32_t add_index(std::span<const radix_piece> pieces);
  /// The two-level tree over ports. @return entry
  std::uint32_t add_ports(std::span<const radix_piece> pieces);
  /// @return its ref
  std::uint32_t add_limits(const mp_limits& limits);
  /// A list of at most MP_LIMITED_ENTRIES entries. @return its ref
  std::uint32_t add_limited(std::span<const mp_limited> entries, std::uint32_t next);
  /// Room for a fan; what is added next stands behind it. @return ref
  std::uint32_t place_fan();
  void write_fan(std::uint32_t ref, const mp_fan& fan);

  [[nodiscard]] std::size_t bytes() const noexcept { return cursor_; }
  /// Writes the header and pads to whole pages. The builder is used up.
  [[nodiscard]] image_pages finish(mp_image_header header);

private:
  std::size_t take(std::size_t size, std::size_t alignment);
  std::size_t take_in_page(std::size_t size, std::size_t alignment);
  template <class T>
  void put(std::size_t at, const T& value) {
    std::memcpy(pages_.data() + at, &value, sizeof value);
  }
  std::uint32_t add_entries(std::span<const std::uint32_t> entries);
  /// What a node's 256 slots hold, as runs of equal entries.
  class slot_runs {
  public:
    /// Slots from here on hold @p entry. In ascending order, from 0.
    void add(unsigned slot, std::uint32_t entry);
    [[nodiscard]] std::span<const std::uint8_t> starts() const noexcept {
      return std::span{starts_}.first(count_);
    }
    [[nodiscard]] std::span<const std::uint32_t> entries() const noexcept {
      return std::span{entries_}.first(count_);
    }

  private:
    std::array<std::uint8_t, 256> starts_; // not initialised: of each node few are used
    std::array<std::uint32_t, 256> entries_;
    std::size_t count_ = 0;
  };
  mp_node make_node(const slot_runs& runs);
  std::uint32_t build(std::span<const radix_piece> pieces, radix_key base, unsigned shift);
  /// A node of the IPv6 tree at which a descent could start: it answers for every key with these
  /// first bytes.
  struct start6 {
    std::uint64_t key = 0; ///< as a reader of 8 bytes sees it, the rest 0
    std::uint32_t entry = 0;
    std::uint32_t gain = 0; ///< nodes above it, for each piece inside
  };
  /// By number of first bytes.
  using starts6 = std::array<std::vector<start6>, 9>;
  struct place6 {
    radix_key base = 0;
    unsigned shift = 120;
    std::uint32_t depth = 0;
  };
  std::uint32_t build6(std::span<const radix_piece> pieces, place6 at, starts6& starts);
  mp_jump add_jump(const starts6& starts);

  image_pages pages_;
  std::size_t cursor_ = MP_PAGE_SIZE;
};

} // namespace marchproxy::policy
