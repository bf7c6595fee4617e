// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/model/model.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct rte_acl_ctx;

namespace marchproxy::bench {

/// What rte_acl reads of a packet, in network byte order: 16 bytes.
struct acl_key {
  std::uint32_t protocol = 0; ///< the first byte of it
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
};

/// The rules of a policy of nested prefixes (testing::nested_shape) as DPDK's classifier, in the
/// order of actors/policy. DPDK's environment has to be started.
class acl_rules {
public:
  /// @errors too_large, with what rte_acl said
  [[nodiscard]] static result<acl_rules> build(const model::ruleset& rules);

  /// 2 * mapping + 1 when it allows, 2 * mapping when not, 0 when none matches; by key.
  void classify(std::span<const std::uint8_t*> keys,
                std::span<std::uint32_t> answers) const noexcept;

private:
  struct free_context {
    void operator()(rte_acl_ctx* context) const noexcept;
  };
  explicit acl_rules(rte_acl_ctx* context) : context_(context) {}
  std::unique_ptr<rte_acl_ctx, free_context> context_;
};

} // namespace marchproxy::bench
