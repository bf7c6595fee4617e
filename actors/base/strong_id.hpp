// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace marchproxy {

/// A number that is an id of one kind of thing and converts to no other. 0 means "none yet".
template <class Tag>
struct strong_id {
  std::uint64_t value = 0;

  auto operator<=>(const strong_id&) const = default;
  [[nodiscard]] explicit operator bool() const noexcept { return value != 0; }
};

using cluster_id = strong_id<struct cluster_tag>;
using service_id = strong_id<struct service_tag>;
using mapping_id = strong_id<struct mapping_tag>;
using user_id = strong_id<struct user_tag>;
/// A configuration revision: counts up by one with each change of a cluster, never goes back.
using revision = strong_id<struct revision_tag>;

} // namespace marchproxy

template <class Tag>
struct std::hash<marchproxy::strong_id<Tag>> {
  std::size_t operator()(marchproxy::strong_id<Tag> id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value);
  }
};
