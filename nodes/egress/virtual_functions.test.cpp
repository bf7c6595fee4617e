// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/virtual_functions.hpp"

#include "dpdk/sriov/fake_machine.test.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::egress {
namespace {

using nlohmann::json;

/// Two functions, the second with vfio.
class virtual_functions : public testing::Test {
protected:
  virtual_functions() {
    lab.add_card({.count = 2});
    lab.remove("bus/pci/devices/0000:01:02.1/driver");
    lab.bind("0000:01:02.1", "vfio-pci");
  }

  json answer(const std::vector<dpdk_port>& worker) {
    json out = {{"declined", json::array()}};
    add_sriov(out, worker, lab.root);
    return out;
  }

  sriov::testing::fake_machine lab;
};

TEST_F(virtual_functions, are_devices_of_the_worker_by_name) {
  const std::vector<dpdk_port> named{{"eth1/vf1", "", false, "mp0"},
                                     {"net_ring0", "", true, "mp1"},
                                     {"0000:05:00.0", "", false, "mp2"}};
  const auto ports = with_addresses(named, lab.root);
  ASSERT_TRUE(ports) << to_string(ports.error());
  EXPECT_EQ(ports->at(0), (dpdk_port{"0000:01:02.1", "", false, "mp0"}));
  EXPECT_EQ(ports->at(1), named[1]);
  EXPECT_EQ(ports->at(2), named[2]);
  EXPECT_EQ(with_addresses({{"0000:01:00.0/vf1", "", false, "mp0"}}, lab.root)->at(0).device,
            "0000:01:02.1");
}

TEST_F(virtual_functions, are_refused_by_name_with_the_reason) {
  const std::vector<std::pair<std::vector<dpdk_port>, std::string>> table{
    {{{"eth1/vf0", "", false, "mp0"}}, "DPDK_PORTS: eth1/vf0: the driver iavf has it"},
    {{{"eth1/vf2", "", false, "mp0"}}, "DPDK_PORTS: eth1/vf2: eth1 has 2 virtual functions"},
    {{{"eth2/vf0", "", false, "mp0"}}, "no network card with SR-IOV is called eth2"},
    {{{"eth1/vf1", "", false, "mp0"}, {"0000:01:02.1", "", false, "mp1"}},
     "0000:01:02.1 is named twice"}};
  for (const auto& [ports, why] : table) {
    const auto resolved = with_addresses(ports, lab.root);
    ASSERT_FALSE(resolved) << why;
    EXPECT_NE(resolved.error().message.find(why), std::string::npos) << resolved.error().message;
  }
}

TEST_F(virtual_functions, are_told_with_the_port_that_stands_in) {
  const std::vector<std::vector<dpdk_port>> same{{{"eth1/vf1", "", false, "mp0"}},
                                                 {{"0000:01:00.0/vf1", "", false, "mp0"}},
                                                 {{"0000:01:02.1", "", false, "mp0"}}};
  for (const auto& worker : same) {
    const auto told = answer(worker);
    const auto& functions = told.at("sriov").at(0).at("functions");
    EXPECT_TRUE(functions.at(0).at("port").is_null());
    EXPECT_EQ(functions.at(1).at("port"), "mp0");
    EXPECT_TRUE(told.at("declined").empty());
  }
}

TEST_F(virtual_functions, are_declined_with_the_reason) {
  EXPECT_EQ(answer({}).at("declined").at(0).at("reason"),
            "the packet worker has no virtual function; DPDK_PORTS names them, such as eth1/vf0");
  ASSERT_TRUE(lab.write("bus/pci/devices/0000:01:00.0/sriov_numvfs", "0"));
  EXPECT_EQ(answer({}).at("declined").at(0).at("reason"),
            "no virtual functions have been made; marchproxy sriov apply makes them");
  lab.put("bus/pci/devices/0000:01:00.0/sriov_numvfs", "few");
  EXPECT_NE(answer({}).at("declined").at(0).at("reason").get<std::string>().find("is no number"),
            std::string::npos);
  lab.remove("bus/pci/devices/0000:01:00.0");
  EXPECT_EQ(answer({}).at("declined").at(0),
            (json{{"name", "sriov"}, {"reason", "no network card of this machine has SR-IOV"}}));
}

} // namespace
} // namespace marchproxy::egress
