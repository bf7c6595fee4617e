// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "actors/policy/image_builder.hpp"

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

namespace marchproxy::policy {

/// Prefixes of both families by containment. Node 0 is the root, which contains everything; the
/// others follow in preorder, IPv4 first, so that a node's subtree is the interval [node,
/// last(node)].
class prefix_tree {
public:
  /// @param prefixes  in any order, with duplicates
  explicit prefix_tree(const std::vector<ip_prefix>& prefixes);

  [[nodiscard]] std::size_t size() const noexcept { return parent_.size(); }
  /// The node of a prefix that was given to the constructor.
  [[nodiscard]] std::uint32_t node_of(const ip_prefix& prefix) const noexcept;
  [[nodiscard]] std::uint32_t parent(std::uint32_t node) const noexcept { return parent_[node]; }
  [[nodiscard]] std::uint32_t last(std::uint32_t node) const noexcept { return last_[node]; }

  /// Longest-prefix match of one family as a piecewise-constant function, adjacent pieces
  /// differing.
  /// @param values  one value a node
  [[nodiscard]] std::vector<radix_piece> pieces(ip_family family,
                                                std::span<const std::uint32_t> values) const;

private:
  /// A prefix as numbers, which compare faster than bytes.
  struct span_of_keys {
    explicit span_of_keys(const ip_prefix& prefix) noexcept;
    auto operator<=>(const span_of_keys&) const = default;
    [[nodiscard]] bool contains(const span_of_keys& inner) const noexcept;
    /// The first key behind it; 0 when there is none in 128 bits.
    [[nodiscard]] radix_key beyond() const noexcept;

    ip_family family;
    radix_key first;
    std::uint8_t length;
    std::uint8_t width; ///< of an address of the family
  };
  [[nodiscard]] const span_of_keys& span_of(std::uint32_t node) const noexcept {
    return spans_[node - 1];
  }

  std::vector<span_of_keys> spans_; ///< node n is spans_[n - 1]
  std::vector<std::uint32_t> parent_;
  std::vector<std::uint32_t> last_;
};

/// Appends a piece; drops one that changes nothing and replaces one that starts at the same key.
void add_piece(std::vector<radix_piece>& pieces, radix_piece piece);

} // namespace marchproxy::policy
