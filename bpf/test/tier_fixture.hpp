// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/program.hpp"
#include "bpf/loader/tier.hpp"
#include "bpf/test/privileges.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace marchproxy::tier_ebpf::testing {

/// A ruleset written down in a few words. Every mapping may reach private ranges unless it says
/// otherwise.
struct book {
  model::ruleset rules;

  explicit book(std::uint64_t revision) { rules.revision = marchproxy::revision{revision}; }

  service_id service(const char* prefix) {
    model::service s;
    s.id = service_id{rules.services.size() + 1};
    s.name = "s" + std::to_string(s.id.value);
    s.address = *parse_prefix(prefix);
    rules.services.push_back(s);
    return s.id;
  }

  model::mapping& map(const char* from,
                      const char* to,
                      model::mapping_action action = model::mapping_action::allow) {
    model::mapping m;
    m.id = mapping_id{rules.mappings.size() + 1};
    m.sources = {service(from)};
    m.destinations = {service(to)};
    m.action = action;
    m.allow_private = true;
    rules.mappings.push_back(m);
    return rules.mappings.back();
  }

  [[nodiscard]] std::shared_ptr<const policy::program> compile() const {
    auto out = policy::program::compile(std::make_shared<const model::ruleset>(rules));
    EXPECT_TRUE(out) << (out ? "" : marchproxy::to_string(out.error()));
    return out.value_or(nullptr);
  }
};

/// A loaded tier, where the privileges are there.
class tier_test : public ::testing::Test {
protected:
  void SetUp() override {
    if (!privileged())
      return;
    auto loaded = tier::load({.connections = 65'536, .forwards = true});
    ASSERT_TRUE(loaded) << marchproxy::to_string(loaded.error());
    tier_ = std::move(*loaded);
  }

  void put_in_force(const book& b) {
    auto prepared = tier_->prepare(b.compile());
    ASSERT_TRUE(prepared) << marchproxy::to_string(prepared.error());
    auto committed = tier_->commit();
    ASSERT_TRUE(committed) << marchproxy::to_string(committed.error());
  }

  /// What a frame adds to the totals, `packets`, `bytes` and `allowed_bytes` left out: mostly its
  /// outcome.
  std::map<std::string, std::uint64_t> effect(std::span<const std::byte> frame) {
    auto before = by_name(tier_->totals());
    auto ran = tier_->run(frame);
    EXPECT_TRUE(ran) << (ran ? "" : marchproxy::to_string(ran.error()));
    passed_ = ran && ran->passed;
    std::map<std::string, std::uint64_t> out;
    for (const auto& [name, value] : by_name(tier_->totals()))
      if (value != before[name] && name != "packets" && name != "bytes" && name != "allowed_bytes")
        out[name] = value - before[name];
    return out;
  }

  /// The one outcome that a frame has.
  std::string outcome(std::span<const std::byte> frame) {
    std::string out;
    auto all = effect(frame);
    for (std::size_t i = 0; i <= MP_LAST_OUTCOME; ++i) {
      auto name = std::string{text_of(static_cast<mp_total>(i)).name};
      if (all.contains(name))
        out += (out.empty() ? "" : " and ") + name;
    }
    return out;
  }

  std::unique_ptr<tier> tier_;
  bool passed_ = false; ///< the last frame
};

} // namespace marchproxy::tier_ebpf::testing
