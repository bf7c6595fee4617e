// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/fake_machine.test.hpp"
#include "dpdk/sriov/report.hpp"
#include "dpdk/sriov/worker_device.hpp"

#include <nlohmann/json.hpp>

#include <functional>

namespace marchproxy::sriov {
namespace {

using testing::fake_machine;

const std::string card = "bus/pci/devices/0000:01:00.0";

TEST(pci_address, is_read_and_written_as_sysfs_has_it) {
  for (const auto* text : {"0000:01:00.0", "0000:ff:1f.7", "10000:e1:00.1"}) {
    ASSERT_TRUE(parse_pci_address(text)) << text;
    EXPECT_EQ(to_string(*parse_pci_address(text)), text);
  }
  EXPECT_EQ(to_string(*parse_pci_address("0000:AB:0C.1")), "0000:ab:0c.1");
  for (const auto* text :
       {"", "01:00.0", "0000:01:00", "0000:01:20.0", "0000:01:00.8", "000:01:00.0", "0000:01:00.0 ",
        "0000-01:00.0", "0000:0x:00.0", "000000000:01:00.0"})
    EXPECT_FALSE(parse_pci_address(text)) << text;
}

TEST(inventory, has_a_card_with_its_virtual_functions) {
  fake_machine lab;
  lab.add_card({.count = 2});
  lab.put("bus/pci/devices/0000:00:03.0/class", "0x020000"); // a card without SR-IOV
  lab.put("bus/pci/devices/0000:00:04.0/class", "0x010802"); // a disk with it
  lab.put("bus/pci/devices/0000:00:04.0/sriov_totalvfs", "16");
  lab.settings[11][1].vlan = vlan_tag{100, 3};
  const auto seen = lab.look();
  ASSERT_EQ(seen.has.functions.size(), 1u);
  const auto& f = seen.has.functions[0];
  EXPECT_EQ(to_string(f.address), "0000:01:00.0");
  EXPECT_EQ(f.driver, "ice");
  EXPECT_EQ(f.vendor, 0x8086);
  EXPECT_EQ(f.device, 0x1592);
  EXPECT_EQ(f.most, 8u);
  EXPECT_EQ(f.count, 2u);
  EXPECT_EQ(f.numa_node, 1u);
  EXPECT_EQ(f.autoprobe, true);
  EXPECT_EQ(f.iommu_group, 20u);
  EXPECT_TRUE(f.reachable);
  EXPECT_EQ(f.interfaces, std::vector<std::string>{"eth1"});
  ASSERT_EQ(f.functions.size(), 2u);
  const auto& second = f.functions[1];
  EXPECT_EQ(to_string(*second.address), "0000:01:02.1");
  EXPECT_EQ(second.driver, "iavf");
  EXPECT_EQ(second.driver_override, "");
  EXPECT_EQ(second.interfaces, std::vector<std::string>{"eth1v1"});
  EXPECT_EQ(second.iommu_group, 22u);
  ASSERT_TRUE(second.settings);
  EXPECT_EQ(second.settings->vlan, (vlan_tag{100, 3}));
  EXPECT_EQ(second.settings->spoof_check, true);
  EXPECT_EQ(seen.has.find("eth1"), &f);
  EXPECT_EQ(seen.has.find("0000:01:00.0"), &f);
  EXPECT_EQ(seen.has.find("eth1v0"), nullptr) << "a virtual function is no physical one";
}

TEST(inventory, takes_the_ports_of_a_card_and_not_what_stands_for_its_functions) {
  fake_machine lab;
  lab.add_card({});
  for (const auto* name : {"eth1", "eth0r0", "eth9"})
    lab.put(card + "/net/" + name + "/ifindex", "1");
  lab.put(card + "/net/eth0r0/phys_port_name", "pf0vf0");
  lab.put(card + "/net/eth1/phys_port_name", "p0");
  lab.put(card + "/net/eth1/dev_port", "1");
  const auto has = read_inventory(lab.reader);
  ASSERT_TRUE(has);
  EXPECT_EQ(has->functions[0].interfaces, (std::vector<std::string>{"eth9", "eth1"}));
}

TEST(inventory, names_the_file_that_is_wrong) {
  const std::vector<std::pair<std::function<void(fake_machine&)>, std::string>> table{
    {[](auto& l) { l.put(card + "/sriov_totalvfs", "many"); },
     "sriov_totalvfs: 'many' is no number"},
    {[](auto& l) { l.put(card + "/sriov_totalvfs", "65536"); }, "sriov_totalvfs: out of range"},
    {[](auto& l) { l.put(card + "/sriov_numvfs", "9"); }, "sriov_numvfs: is more than"},
    {[](auto& l) { l.put(card + "/sriov_numvfs", "-2"); }, "sriov_numvfs: out of range"},
    {[](auto& l) { l.put(card + "/sriov_numvfs", "3"); }, "virtfn2: is missing"},
    {[](auto& l) { l.put(card + "/vendor", "0x"); }, "vendor: '0x' is no number"},
    {[](auto& l) { l.put(card + "/device", std::string(5000, '1')); },
     "device: longer than a page"},
    {[](auto& l) { l.put(card + "/class", "0x02\x01"); }, "class: is no line of text"},
    {[](auto& l) {
       l.remove(card + "/virtfn0");
       l.link(card + "/virtfn0", "devices/virtual");
     },
     "virtfn0: leads to no PCI address"},
    {[](auto& l) {
       l.remove(card + "/iommu_group");
       l.link(card + "/iommu_group", "kernel/iommu_groups/x");
     },
     "iommu_group: leads to no group"},
    {[](auto& l) { l.put("kernel/iommu_groups/21/devices/nobody", ""); },
     "nobody: is no PCI address"},
    {[](auto& l) { l.put("class/net/eth1/ifindex", "eleven"); }, "ifindex: 'eleven' is no number"},
    {[](auto& l) { l.put(card + "/net/a_name_that_is_too_long/ifindex", "1"); },
     "is no interface's name"}};
  for (const auto& [spoil, message] : table) {
    fake_machine lab;
    lab.add_card({.count = 2});
    ASSERT_TRUE(read_inventory(lab.reader));
    spoil(lab);
    const auto has = read_inventory(lab.reader);
    ASSERT_FALSE(has) << message;
    EXPECT_EQ(has.error().code, errc::corrupt);
    EXPECT_NE(has.error().message.find(message), std::string::npos) << has.error().message;
    EXPECT_EQ(has.error().message.find(lab.root), 0u) << has.error().message;
  }
}

TEST(inventory, lives_with_old_kernels_that_have_fewer_files) {
  fake_machine lab;
  lab.add_card({.count = 1});
  for (const auto* file :
       {"/sriov_drivers_autoprobe", "/sriov_offset", "/sriov_stride", "/numa_node"})
    lab.remove(card + file);
  const auto has = read_inventory(lab.reader);
  ASSERT_TRUE(has);
  EXPECT_FALSE(has->functions[0].autoprobe);
  EXPECT_FALSE(has->functions[0].numa_node);
}

TEST(inventory, of_no_tree_is_empty) {
  const auto has = read_inventory(sysfs_reader{"/nowhere"});
  ASSERT_TRUE(has);
  EXPECT_TRUE(has->functions.empty());
  EXPECT_EQ(why_unused(*has), "no network card of this machine has SR-IOV");
}

/// Whatever the machine of the test has: it can be read.
TEST(inventory, of_this_machine_is_read) {
  const auto has = read_inventory(sysfs_reader{"/sys"});
  ASSERT_TRUE(has) << to_string(has.error());
  EXPECT_NE(has->interface("lo"), nullptr);
  for (const auto& f : has->functions)
    EXPECT_EQ(f.functions.size(), f.count);
}

TEST(worker_device, is_named_by_its_card_and_number) {
  EXPECT_EQ(parse_function_name("eth1/vf0"), (function_name{"eth1", 0}));
  EXPECT_EQ(parse_function_name("0000:01:00.0/vf12"), (function_name{"0000:01:00.0", 12}));
  for (const auto* text : {"", "eth1", "eth1/vf", "/vf0", "eth1/vf-1", "eth1/vf0x", "a/b/vf0",
                           "a b/vf0", "eth1/vf99999999999"})
    EXPECT_FALSE(parse_function_name(text)) << text;
}

TEST(worker_device, is_refused_with_the_reason) {
  fake_machine lab;
  lab.add_card({.count = 3});
  lab.remove("bus/pci/devices/0000:01:02.1/driver");
  lab.remove("bus/pci/devices/0000:01:02.2/driver");
  lab.bind("0000:01:02.2", "vfio-pci");
  const auto has = lab.look().has;
  EXPECT_EQ(worker_device(has, {"eth1", 2}), "0000:01:02.2");
  const std::vector<std::pair<function_name, std::string>> table{
    {{"eth1", 0}, "the driver iavf has it"},
    {{"eth1", 1}, "no driver has it"},
    {{"eth1", 3}, "has 3 virtual functions"},
    {{"eth2", 0}, "no network card with SR-IOV is called eth2"}};
  for (const auto& [name, why] : table) {
    const auto device = worker_device(has, name);
    ASSERT_FALSE(device);
    EXPECT_NE(device.error().message.find(why), std::string::npos) << device.error().message;
  }
  const auto none = worker_device({}, {"eth1", 0});
  EXPECT_NE(none.error().message.find("this machine has no network card with SR-IOV"),
            std::string::npos);
}

TEST(report, says_what_is_known_and_null_where_it_is_not) {
  fake_machine lab;
  lab.add_card({.count = 1});
  lab.default_routes = {11};
  lab.set_up("eth1v0", true);
  const auto seen = lab.look();
  const auto out = to_json(seen.has, seen.use);
  EXPECT_EQ(out[0]["address"], "0000:01:00.0");
  EXPECT_EQ(out[0]["management"], "a default route goes by it");
  const auto& function = out[0]["functions"][0];
  EXPECT_EQ(function["driver"], "iavf");
  EXPECT_EQ(function["for_worker"], false);
  EXPECT_EQ(function["spoof_check"], true);
  EXPECT_NE(function["in_use"].get<std::string>().find("eth1v0 is up"), std::string::npos);
  lab.tells_settings = false;
  EXPECT_TRUE(to_json(lab.look().has)[0]["functions"][0]["spoof_check"].is_null());
  EXPECT_EQ(why_unused(seen.has), "");
}

} // namespace
} // namespace marchproxy::sriov
