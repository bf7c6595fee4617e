// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/hook_choice.hpp"

#include <gtest/gtest.h>

namespace marchproxy::egress {
namespace {

using tier_ebpf::xdp_basic;
using tier_ebpf::xdp_mode;
using modes = std::vector<xdp_mode>;

tier_ebpf::interface card(std::optional<std::uint64_t> features, const char* kind = "") {
  tier_ebpf::interface out;
  out.name = "eth0";
  out.kind = kind;
  out.xdp = features;
  return out;
}

hook_plan plan(const tier_ebpf::interface& at, wish xdp, xdp_choice by = xdp_choice::automatic) {
  settings options;
  options.xdp = xdp;
  options.xdp_by = by;
  return plan_hook(at, options);
}

TEST(hook_choice, takes_xdp_by_itself_only_in_drivers_of_real_cards) {
  EXPECT_EQ(plan(card(xdp_basic), wish::automatic).tries, modes{xdp_mode::native});
  EXPECT_EQ(plan(card(std::nullopt), wish::automatic).tries, modes{xdp_mode::native})
    << "an older kernel cannot tell; attaching will";
  auto without = plan(card(0), wish::automatic);
  EXPECT_TRUE(without.tries.empty());
  EXPECT_NE(without.why_not.find("no native XDP"), std::string::npos);
  auto veth = plan(card(xdp_basic, "veth"), wish::automatic);
  EXPECT_TRUE(veth.tries.empty());
  EXPECT_NE(veth.why_not.find("virtual (veth)"), std::string::npos);
}

TEST(hook_choice, takes_what_was_asked_for) {
  auto veth = card(xdp_basic, "veth");
  EXPECT_EQ(plan(veth, wish::on).tries, (modes{xdp_mode::native, xdp_mode::generic}));
  EXPECT_EQ(plan(veth, wish::on, xdp_choice::native).tries, modes{xdp_mode::native});
  auto generic = plan(veth, wish::on, xdp_choice::generic);
  EXPECT_EQ(generic.tries, modes{xdp_mode::generic});
  EXPECT_EQ(generic.why_not, "XDP_MODE is generic");
  auto off = plan(card(xdp_basic), wish::off, xdp_choice::native);
  EXPECT_TRUE(off.tries.empty());
  EXPECT_EQ(off.why_not, "ENABLE_XDP is false");
}

} // namespace
} // namespace marchproxy::egress
