// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/wanted.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace marchproxy::sriov {
namespace {

using nlohmann::json;

TEST(wanted, what_is_said_of_one_goes_before_what_is_said_of_all) {
  const auto read = read_wanted(json::parse(R"({"device": "eth1", "count": 2,
    "all": {"driver": "vfio-pci", "spoof_check": true, "vlan": 7, "priority": 1},
    "functions": {"1": {"mac": "02:00:00:00:00:0A", "vlan": 100, "trust": false,
                        "link_state": "enable", "driver": "kernel"}}})"));
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->device, "eth1");
  EXPECT_FALSE(read->no_iommu);
  ASSERT_EQ(read->functions.size(), 2u);
  const auto& first = read->functions[0];
  EXPECT_EQ(first.driver, driver_choice::vfio_pci);
  EXPECT_EQ(first.settings.vlan, (vlan_tag{7, 1}));
  EXPECT_FALSE(first.settings.mac);
  const auto& second = read->functions[1];
  EXPECT_EQ(second.driver, driver_choice::kernel);
  EXPECT_EQ(second.settings.vlan, (vlan_tag{100, 0})) << "a tag is one thing";
  EXPECT_EQ(second.settings.mac, (mac_address{2, 0, 0, 0, 0, 10}));
  EXPECT_EQ(second.settings.spoof_check, true);
  EXPECT_EQ(second.settings.trust, false);
  EXPECT_EQ(second.settings.state, link_state::enable);
}

TEST(wanted, names_each_field_that_is_wrong) {
  const std::vector<std::pair<std::string, std::string>> table{
    {R"({})", "device count "},
    {R"([])", "body device count "},
    {R"({"device": "eth1", "count": -1})", "count "},
    {R"({"device": "eth1", "count": 65536})", "count "},
    {R"({"device": "eth1", "count": 1, "vfs": 1})", "vfs "},
    {R"({"device": 5, "count": 1, "no_iommu": 1})", "device no_iommu "},
    {R"({"device": "eth1", "count": 1, "all": 7})", "all "},
    {R"({"device": "eth1", "count": 1, "all": {"vlan": 4095}})", "all.vlan "},
    {R"({"device": "eth1", "count": 1, "all": {"vlan": 1, "priority": 8}})", "all.priority "},
    {R"({"device": "eth1", "count": 1, "all": {"priority": 1}})", "all.priority "},
    {R"({"device": "eth1", "count": 1, "all": {"vlan": 0, "priority": 1}})", "all.priority "},
    {R"({"device": "eth1", "count": 1, "all": {"driver": "ice", "trust": 1}})",
     "all.trust all.driver "},
    {R"({"device": "eth1", "count": 1, "all": {"link_state": "on"}})", "all.link_state "},
    {R"({"device": "eth1", "count": 1, "functions": []})", "functions "},
    {R"({"device": "eth1", "count": 1, "functions": {"1": {}}})", "functions.1 "},
    {R"({"device": "eth1", "count": 1, "functions": {"00": {}}})", "functions.00 "},
    {R"({"device": "eth1", "count": 1, "functions": {"0": {"mac": "ff:00:00:00:00:01"}}})",
     "functions.0.mac "},
    {R"({"device": "eth1", "count": 1, "functions": {"0": {"mac": "00:00:00:00:00:00"}}})",
     "functions.0.mac "},
    {R"({"device": "eth1", "count": 1, "functions": {"0": {"mac": "02:00:00:00:00"}}})",
     "functions.0.mac "},
    {R"({"device": "eth1", "count": 1, "functions": {"0": {"mac": "02-00-00-00-00-01"}}})",
     "functions.0.mac "},
    {R"({"device": "eth1", "count": 2, "all": {"mac": "02:00:00:00:00:01"}})", "functions.1.mac "}};
  for (const auto& [text, fields] : table) {
    const auto read = read_wanted(json::parse(text));
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, errc::invalid_argument);
    std::string named;
    for (const auto& f : read.error().fields)
      named += f.field + " ";
    EXPECT_EQ(named, fields) << text;
  }
}

} // namespace
} // namespace marchproxy::sriov
