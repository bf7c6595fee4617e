// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/support/random_policy.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/policy/explain.hpp"
#include "actors/policy/limited_service.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace marchproxy::policy {
namespace {

/// That the image has the limits that the ruleset has for a flow, as far as packets are held to
/// them.
void expect_limits(const program& compiled, const flow& f, const verdict& by) {
  const auto& rules = compiled.rules();
  const auto mapping = std::find_if(rules.mappings.begin(), rules.mappings.end(),
                                    [&](const auto& m) { return m.id == by.mapping; });
  const auto* service = limited_service(rules, f);
  const auto found = compiled.limits_of(f);
  const auto check = [&](const std::optional<model::limits>& want, const mp_limits* got,
                         std::uint64_t of) {
    const auto holds = want && (want->connections || want->packets || want->bytes);
    ASSERT_EQ(got != nullptr, holds) << of;
    if (got == nullptr)
      return;
    EXPECT_EQ(got->of, of);
    EXPECT_EQ((got->key & MP_LIMITS_PER_SOURCE) != 0, want->per == model::limit_scope::source);
    EXPECT_EQ(got->bytes.burst != 0, want->bytes.has_value());
  };
  check(mapping != rules.mappings.end() ? mapping->limits : std::nullopt, found.mapping,
        by.mapping.value);
  if (service != nullptr)
    check(service->limits, found.service, service->id.value | MP_LIMITS_OF_SERVICE);
  else
    EXPECT_EQ(found.service, nullptr);
}

// The large run (1,000 policies, 100,000 flows, every tier) is tests/conformance; this one is quick
// and has no kernel.
TEST(random_policy, program_agrees_with_the_reference) {
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    testing::policy_generator random{seed};
    testing::policy_shape shape;
    shape.mappings = 1 + seed * 3 % 90;
    shape.services = 2 + seed * 7 % 60;
    shape.observed = seed % 3 == 0 ? 0.4 : 0;
    shape.observe_all = seed % 5 == 0;
    shape.limited = seed % 4 == 1 ? 0.5 : 0;
    shape.lenient = seed % 2 == 1 ? 0.5 : 0;
    auto rules = random.ruleset(shape, seed);
    auto compiled = program::compile(rules);
    ASSERT_TRUE(compiled) << "seed " << seed << ": " << to_string(compiled.error());
    for (const auto& f : random.flows(*rules, 400, seed % 2 == 0)) {
      auto got = (*compiled)->decide(f.view());
      auto want = reference_decide(*rules, f.view());
      ASSERT_EQ(got, want) << "seed " << seed << " flow " << f.text() << ": mapping "
                           << got.mapping.value << " instead of " << want.mapping.value;
      if (f.flow.destination && f.name.empty())
        expect_limits(**compiled, f.view(), want);
    }
  }
}

TEST(random_policy, nested_prefixes_agree_with_the_reference) {
  for (auto ipv6 : {false, true}) {
    testing::policy_generator random{7};
    auto rules = random.nested({.rules = 2000, .ipv6 = ipv6}, 1);
    auto compiled = program::compile(rules);
    ASSERT_TRUE(compiled) << to_string(compiled.error());
    for (const auto& f : random.flows(*rules, 2000, false))
      ASSERT_EQ((*compiled)->decide(f.view()), reference_decide(*rules, f.view())) << f.text();
  }
}

TEST(random_policy, explain_never_finds_a_difference_and_names_the_deciding_mapping) {
  testing::policy_generator random{11};
  auto rules = random.ruleset({}, 5);
  auto compiled = *program::compile(rules);
  for (const auto& f : random.flows(*rules, 500, true)) {
    auto e = explain(*compiled, f.view());
    ASSERT_TRUE(e) << to_string(e.error());
    EXPECT_EQ(e->outcome, compiled->decide(f.view()));
    EXPECT_FALSE(e->reason.empty());
  }
}

// Two nodes of different versions have to make the same image of a revision, or a rollout would be
// refused. Whoever changes the layout on purpose raises MP_IMAGE_LAYOUT and this.
TEST(random_policy, images_are_those_of_the_versions_before) {
  std::string all;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    testing::policy_generator random{seed};
    testing::policy_shape shape;
    shape.mappings = 1 + seed * 5 % 90;
    all += (*program::compile(random.ruleset(shape, seed)))->hash_hex();
  }
  for (auto ipv6 : {false, true}) {
    testing::policy_generator random{9};
    all += (*program::compile(random.nested({.rules = 5000, .ipv6 = ipv6}, 1)))->hash_hex();
  }
  EXPECT_EQ(crypto::sha256_hex(all),
            "9c9c07e416b58ebccadbf4425a1b4d027b8becfdcfd052094ecf0fc07d2b4199");
}

} // namespace
} // namespace marchproxy::policy
