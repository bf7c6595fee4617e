// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "actors/policy/image_builder.hpp"

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
  explicit prefix_tree(std::vector<ip_prefix> prefixes);

  [[nodiscard]] std::size_t size() const noexcept { return parent_.size(); }
  /// The node of a prefix that was given to the constructor.
  [[nodiscard]] std::uint32_t node_of(const ip_prefix& prefix) const noexcept;
  [[nodiscard]] const ip_prefix& prefix_of(std::uint32_t node) const noexcept {
    return prefixes_[node - 1];
  }
  [[nodiscard]] std::uint32_t parent(std::uint32_t node) const noexcept { return parent_[node]; }
  [[nodiscard]] std::uint32_t last(std::uint32_t node) const noexcept { return last_[node]; }

  /// Longest-prefix match of one family as a piecewise-constant function, adjacent pieces
  /// differing.
  /// @param values  one value a node
  [[nodiscard]] std::vector<radix_piece> pieces(ip_family family,
                                                std::span<const std::uint32_t> values) const;

private:
  std::vector<ip_prefix> prefixes_; ///< node n is prefixes_[n - 1]
  std::vector<std::uint32_t> parent_;
  std::vector<std::uint32_t> last_;
};

/// Appends a piece; drops one that changes nothing and replaces one that starts at the same key.
void add_piece(std::vector<radix_piece>& pieces, radix_piece piece);

} // namespace marchproxy::policy
