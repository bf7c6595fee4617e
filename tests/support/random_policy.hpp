// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// Random policies and flows for conformance tests and benchmarks. Everything follows from the seed.

#include "actors/model/model.hpp"
#include "actors/policy/program.hpp"

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace marchproxy::testing {

struct policy_shape {
  std::size_t mappings = 20;
  std::size_t services = 20;
  unsigned shortest_prefix = 4; ///< IPv4 bits; IPv6 prefixes are four times as long
  double named = 0.15;          ///< share of services whose address is a name
  double ipv6 = 0.35;           ///< share of addresses
  double wild = 0.12;           ///< share of sides that are `all`
  double collections = 0.15;    ///< share of sides that are a collection
  double observed = 0;          ///< share of mappings that are only observed
  bool observe_all = false;     ///< the cluster is
  double limited = 0;           ///< share of mappings and services with limits
  double lenient = 0;           ///< share of mappings that drain or finish what they let in
};

/// One service a side and mapping, prefixes nested in each other at random, default priorities:
/// what the cost of a verdict is measured on.
struct nested_shape {
  std::size_t rules = 1000;
  bool ipv6 = false;
};

class policy_generator {
public:
  explicit policy_generator(std::uint64_t seed) : random_(seed) {}

  [[nodiscard]] std::shared_ptr<const model::ruleset> ruleset(const policy_shape& shape,
                                                              std::uint64_t revision);
  [[nodiscard]] std::shared_ptr<const model::ruleset> nested(const nested_shape& shape,
                                                             std::uint64_t revision);
  /// Half of the flows aim at something that some mapping names, the rest anywhere.
  /// @param with_names  also flows that carry a name
  [[nodiscard]] std::vector<struct flow_case>
  flows(const model::ruleset& rules, std::size_t count, bool with_names);

  [[nodiscard]] ip_prefix nested_prefix(bool ipv6, unsigned shortest, std::vector<ip_prefix>& pool);
  [[nodiscard]] ip_address address_in(const ip_prefix& prefix);

private:
  [[nodiscard]] bool chance(double share) {
    return std::uniform_real_distribution<>{}(random_) < share;
  }
  [[nodiscard]] std::uint32_t below(std::uint32_t bound) {
    return std::uniform_int_distribution<std::uint32_t>{0, bound - 1}(random_);
  }
  [[nodiscard]] model::port_set ports();
  [[nodiscard]] model::limits limits();
  [[nodiscard]] model::selector
  side(const policy_shape& shape, const model::ruleset& rules, bool source);
  [[nodiscard]] model::mapping
  mapping(const policy_shape& shape, const model::ruleset& rules, std::uint64_t id);

  std::mt19937_64 random_;
};

/// A flow that owns its name.
struct flow_case {
  policy::flow flow;
  std::string name;

  [[nodiscard]] policy::flow view() const {
    auto out = flow;
    out.name = name;
    return out;
  }
  [[nodiscard]] std::string text() const;
};

} // namespace marchproxy::testing
