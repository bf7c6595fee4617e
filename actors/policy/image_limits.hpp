// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/model/model.hpp"
#include "actors/policy/image_builder.hpp"

#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace marchproxy::policy {

/// The limits of a ruleset in an image: those that packets can be held to, of active mappings and
/// services.
class image_limits {
public:
  /// Writes the limits into @p image, which outlives this.
  image_limits(const model::ruleset& rules, image_builder& image);

  /// @return ref; 0 when it has none
  [[nodiscard]] std::uint32_t of_mapping(mapping_id id) const;
  /// Writes the trees from destinations to the services that have limits.
  /// @errors too_large when a lookup would look at more than MP_LIMITED_STEPS services and port
  /// ranges
  [[nodiscard]] result<void> add_trees(mp_image_header& header);
  [[nodiscard]] std::vector<mp_limits> take() { return std::move(all_); }

private:
  [[nodiscard]] std::uint32_t add(std::uint64_t of, const model::limits& limits);
  [[nodiscard]] std::uint32_t add_list(const std::vector<const model::service*>& here,
                                       std::uint32_t next);

  const model::ruleset& rules_;
  image_builder& image_;
  std::vector<mp_limits> all_;
  std::unordered_set<std::uint32_t> keys_;
  std::unordered_map<mapping_id, std::uint32_t> mappings_;
  std::unordered_map<service_id, std::uint32_t> services_; ///< each that has limits; ref or 0
};

} // namespace marchproxy::policy
