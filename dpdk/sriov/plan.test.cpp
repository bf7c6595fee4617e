// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/plan.hpp"

#include "dpdk/sriov/fake_machine.test.hpp"

#include <functional>

namespace marchproxy::sriov {
namespace {

using testing::fake_card;
using testing::fake_machine;

wanted_state wants(std::size_t count, const wanted_function& each = {}) {
  return {"eth1", std::vector<wanted_function>(count, each)};
}

const wanted_function for_vfio{{}, driver_choice::vfio_pci};
const wanted_function for_kernel{{}, driver_choice::kernel};

std::vector<std::string> words(const result<std::vector<step>>& planned) {
  std::vector<std::string> out;
  if (!planned)
    out.push_back(to_string(planned.error()));
  else
    for (const auto& s : *planned)
      out.push_back(to_string(s.does));
  return out;
}

using strings = std::vector<std::string>;

TEST(plan, makes_functions_and_gives_them_to_vfio) {
  fake_machine lab;
  lab.add_card({});
  auto wanted = wants(2, for_vfio);
  wanted.functions[1].settings.vlan = vlan_tag{100, 3};
  const auto seen = lab.look();
  EXPECT_EQ(words(plan(seen.has, wanted, seen.use)),
            (strings{"write 0 to bus/pci/devices/0000:01:00.0/sriov_drivers_autoprobe",
                     "write 2 to bus/pci/devices/0000:01:00.0/sriov_numvfs",
                     "write 1 to bus/pci/devices/0000:01:00.0/sriov_drivers_autoprobe",
                     "write vfio-pci to bus/pci/devices/0000:01:02.0/driver_override",
                     "write 0000:01:02.0 to bus/pci/drivers/vfio-pci/bind",
                     "set dev eth1 vf 1 vlan 100 qos 3",
                     "write vfio-pci to bus/pci/devices/0000:01:02.1/driver_override",
                     "write 0000:01:02.1 to bus/pci/drivers/vfio-pci/bind"}));
}

TEST(plan, goes_from_one_number_to_another_by_none) {
  fake_machine lab;
  lab.add_card({.count = 2});
  const auto seen = lab.look();
  EXPECT_EQ(words(plan(seen.has, wants(3), seen.use)),
            (strings{"write 0 to bus/pci/devices/0000:01:00.0/sriov_numvfs",
                     "write 3 to bus/pci/devices/0000:01:00.0/sriov_numvfs"}));
  EXPECT_EQ(words(plan(seen.has, wants(0), seen.use)),
            (strings{"write 0 to bus/pci/devices/0000:01:00.0/sriov_numvfs"}));
  EXPECT_TRUE(plan(seen.has, wants(2), seen.use)->empty());
}

TEST(plan, takes_a_function_from_its_driver_before_it_changes_it) {
  fake_machine lab;
  lab.add_card({.count = 1});
  auto wanted = wants(1, for_vfio);
  wanted.functions[0].settings = {mac_address{2, 0, 0, 0, 0, 1}, std::nullopt, true, true,
                                  link_state::enable};
  const auto seen = lab.look();
  const auto steps = plan(seen.has, wanted, seen.use);
  EXPECT_EQ(words(steps),
            (strings{"write 0000:01:02.0 to bus/pci/devices/0000:01:02.0/driver/unbind",
                     "set dev eth1 vf 0 mac 02:00:00:00:00:01", "set dev eth1 vf 0 trust on",
                     "set dev eth1 vf 0 state enable",
                     "write vfio-pci to bus/pci/devices/0000:01:02.0/driver_override",
                     "write 0000:01:02.0 to bus/pci/drivers/vfio-pci/bind"}))
    << "spoof checking is on already";
  strings back;
  for (const auto& s : *steps)
    for (const auto& a : s.back)
      back.push_back(to_string(a));
  EXPECT_EQ(back, (strings{"write 0000:01:02.0 to bus/pci/drivers/iavf/bind",
                           "set dev eth1 vf 0 mac 00:00:00:00:00:00", "set dev eth1 vf 0 trust off",
                           "set dev eth1 vf 0 state auto",
                           "write an empty line to bus/pci/devices/0000:01:02.0/driver_override",
                           "write 0000:01:02.0 to bus/pci/drivers/vfio-pci/unbind"}));
}

TEST(plan, gives_a_function_back_to_the_kernel) {
  fake_machine lab;
  lab.add_card({.count = 1});
  lab.put("bus/pci/devices/0000:01:02.0/driver_override", "vfio-pci");
  lab.remove("bus/pci/devices/0000:01:02.0/net");
  lab.remove("bus/pci/devices/0000:01:02.0/driver");
  lab.bind("0000:01:02.0", "vfio-pci");
  const auto seen = lab.look();
  EXPECT_EQ(words(plan(seen.has, wants(1, for_kernel), seen.use)),
            (strings{"write 0000:01:02.0 to bus/pci/devices/0000:01:02.0/driver/unbind",
                     "write an empty line to bus/pci/devices/0000:01:02.0/driver_override",
                     "write 0000:01:02.0 to bus/pci/drivers_probe"}));
  EXPECT_TRUE(plan(seen.has, wants(1, for_vfio), seen.use)->empty());
}

TEST(plan, says_where_a_function_will_be_only_when_the_card_says_it) {
  fake_machine lab;
  lab.add_card({});
  lab.remove("bus/pci/devices/0000:01:00.0/sriov_offset");
  const auto seen = lab.look();
  const auto all = words(plan(seen.has, wants(1, for_vfio), seen.use));
  EXPECT_EQ(all.back(), "write (its address) to bus/pci/drivers/vfio-pci/bind");
}

TEST(plan, undoes_a_removal_with_all_that_was_set) {
  fake_machine lab;
  lab.add_card({.count = 2});
  lab.settings[11][0] = {mac_address{2, 0, 0, 0, 0, 1}, vlan_tag{5, 1}, false, true,
                         link_state::disable};
  lab.put("bus/pci/devices/0000:01:02.1/driver_override", "vfio-pci");
  lab.remove("bus/pci/devices/0000:01:02.1/net");
  lab.remove("bus/pci/devices/0000:01:02.1/driver");
  lab.bind("0000:01:02.1", "vfio-pci");
  const auto seen = lab.look();
  const auto steps = plan_count(seen.has, wants(0), seen.use);
  ASSERT_TRUE(steps) << to_string(steps.error());
  strings back;
  for (const auto& a : steps->at(0).back)
    back.push_back(to_string(a));
  EXPECT_EQ(back, (strings{"write 2 to bus/pci/devices/0000:01:00.0/sriov_numvfs",
                           "set dev eth1 vf 0 mac 02:00:00:00:00:01",
                           "set dev eth1 vf 0 vlan 5 qos 1", "set dev eth1 vf 0 spoofchk off",
                           "set dev eth1 vf 0 trust on", "set dev eth1 vf 0 state disable",
                           "set dev eth1 vf 1 spoofchk on", "set dev eth1 vf 1 trust off",
                           "write vfio-pci to bus/pci/devices/0000:01:02.1/driver_override",
                           "write 0000:01:02.1 to bus/pci/devices/0000:01:02.1/driver/unbind",
                           "write 0000:01:02.1 to bus/pci/drivers/vfio-pci/bind"}));
}

struct refusal {
  const char* what;
  fake_card card;
  wanted_state wanted;
  std::function<void(fake_machine&)> with;
  const char* why;
};

const std::vector<refusal>& refusals() {
  static const auto nothing = [](fake_machine&) {};
  static const std::string vf0 = "bus/pci/devices/0000:01:02.0";
  static const std::vector<refusal> out{
    {"no such card", {}, {"eth7", {}}, nothing, "is called 'eth7'; there are eth1 (0000:01:00.0)"},
    {"more than the card can", {.most = 4}, wants(5), nothing, "can have 4 at most"},
    {"a card without a driver",
     {},
     wants(1),
     [](auto& l) { l.remove("bus/pci/devices/0000:01:00.0/driver"); },
     "no driver has it"},
    {"a card without an interface",
     {},
     {"0000:01:00.0", {{}}},
     [](auto& l) { l.remove("bus/pci/devices/0000:01:00.0/net"); },
     "shows no interface"},
    {"a card of another network namespace",
     {},
     wants(1),
     [](auto& l) { l.put("class/net/eth1/ifindex", "77"); },
     "different network namespaces"},
    {"the management link, by its route",
     {},
     wants(1),
     [](auto& l) { l.default_routes = {11}; },
     "managed by eth1 (a default route goes by it)"},
    {"the management link, by a connection",
     {},
     wants(1),
     [](auto& l) {
       l.addresses = {{*parse_ip("192.0.2.1"), 11}};
       l.add_connection("010200C0:107E", "01");
     },
     "uses its address 192.0.2.1, port 4222"},
    {"the management link, by name",
     {},
     wants(1),
     [](auto& l) { l.management.named = {"eth1"}; },
     "it was named as management"},
    {"the management link, below a bond",
     {},
     wants(1),
     [](auto& l) {
       l.add_stacked("bond0", 20, {"eth1"});
       l.default_routes = {20};
     },
     "it is below bond0"},
    {"removing functions of the management link",
     {.count = 2},
     wants(0),
     [](auto& l) { l.default_routes = {11}; },
     "managed by eth1"},
    {"removing a function that is the management link",
     {.count = 1},
     wants(0),
     [](auto& l) { l.default_routes = {1100}; },
     "managed by its interface eth1v0"},
    {"binding a function that is the management link",
     {.count = 1},
     wants(1, for_vfio),
     [](auto& l) { l.default_routes = {1100}; },
     "managed by its interface eth1v0"},
    {"changing a function that is the management link",
     {.count = 1},
     wants(1, {{.vlan = vlan_tag{7, 0}}, {}}),
     [](auto& l) { l.default_routes = {1100}; },
     "managed by its interface eth1v0"},
    {"removing a function that is up",
     {.count = 2},
     wants(3),
     [](auto& l) { l.set_up("eth1v1", true); },
     "eth1/vf1: its interface eth1v1 is up"},
    {"removing a function that is enslaved",
     {.count = 1},
     wants(0),
     [](auto& l) { l.add_stacked("bond0", 20, {"eth1v0"}); },
     "bond0 is stacked on its interface eth1v0"},
    {"removing a function of another namespace",
     {.count = 1},
     wants(0),
     [](auto& l) { l.remove(vf0 + "/net"); },
     "shows no interface in this network namespace"},
    {"removing a function that a program has",
     {.count = 1},
     wants(0),
     [](auto& l) {
       l.remove(vf0 + "/driver");
       l.bind("0000:01:02.0", "vfio-pci");
       l.add_open_file("/dev/vfio/21");
     },
     "a program has /dev/vfio/21 open"},
    {"removing a function that a program has by iommufd",
     {.count = 1},
     wants(0),
     [](auto& l) {
       l.remove(vf0 + "/driver");
       l.bind("0000:01:02.0", "vfio-pci");
       l.put(vf0 + "/vfio-dev/vfio3/dev", "511:3");
       l.add_open_file("/dev/vfio/devices/vfio3");
     },
     "a program has /dev/vfio/devices/vfio3 open"},
    {"binding a function whose group a program has",
     {.count = 2, .one_group = true},
     {"eth1", {for_vfio, for_vfio}},
     [](auto& l) {
       l.remove("bus/pci/devices/0000:01:02.1/driver");
       l.bind("0000:01:02.1", "vfio-pci");
       l.add_open_file("/dev/vfio/21");
     },
     "eth1/vf0: a program has /dev/vfio/21 open"},
    {"binding a function that another driver has",
     {.count = 1},
     wants(1, for_vfio),
     [](auto& l) {
       l.remove(vf0 + "/net");
       l.remove(vf0 + "/driver");
       l.bind("0000:01:02.0", "igb_uio");
     },
     "the driver igb_uio has it"},
    {"binding a function that is kept for another driver",
     {.count = 1},
     wants(1, for_vfio),
     [](auto& l) { l.put(vf0 + "/driver_override", "pci-stub"); },
     "driver_override is pci-stub"},
    {"vfio-pci not loaded",
     {},
     wants(1, for_vfio),
     [](auto& l) { l.remove("bus/pci/drivers/vfio-pci"); },
     "modprobe vfio-pci"},
    {"no IOMMU", {.group = std::nullopt}, wants(1, for_vfio), nothing, "there is no IOMMU"},
    {"no IOMMU on purpose, and vfio does not know",
     {.group = std::nullopt},
     {"eth1", {for_vfio}, true},
     nothing,
     "enable_unsafe_noiommu_mode is not Y"},
    {"a group with another device in use",
     {.count = 1},
     wants(1, for_vfio),
     [](auto& l) {
       l.put("bus/pci/devices/0000:01:04.0/class", "0x010802");
       l.link("bus/pci/devices/0000:01:04.0/driver", "bus/pci/drivers/nvme");
       l.link("kernel/iommu_groups/21/devices/0000:01:04.0", "bus/pci/devices/0000:01:04.0");
     },
     "IOMMU group 21 also holds 0000:01:04.0, which the driver nvme has"},
    {"a group with a function that stays the kernel's",
     {.count = 2, .one_group = true},
     {"eth1", {for_vfio, for_kernel}},
     nothing,
     "IOMMU group 21 also holds 0000:01:02.1, which the driver iavf has"},
    {"the kernel's drivers are kept away",
     {.count = 1},
     wants(1, for_kernel),
     [](auto& l) {
       l.remove(vf0 + "/driver");
       l.put("bus/pci/devices/0000:01:00.0/sriov_drivers_autoprobe", "0");
     },
     "sriov_drivers_autoprobe is 0"}};
  return out;
}

TEST(plan, refuses_with_the_reason) {
  for (const auto& [what, card, wanted, with, why] : refusals()) {
    fake_machine lab;
    lab.add_card(card);
    with(lab);
    const auto seen = lab.look();
    const auto planned = plan(seen.has, wanted, seen.use);
    ASSERT_FALSE(planned) << what;
    EXPECT_NE(to_string(planned.error()).find(why), std::string::npos)
      << what << ": " << to_string(planned.error());
  }
}

TEST(plan, names_every_reason_at_once) {
  fake_machine lab;
  lab.add_card({.most = 4, .count = 2});
  lab.set_up("eth1v0", true);
  lab.set_up("eth1v1", true);
  lab.default_routes = {11};
  const auto seen = lab.look();
  const auto planned = plan(seen.has, wants(9), seen.use);
  ASSERT_FALSE(planned);
  EXPECT_EQ(planned.error().code, errc::conflict);
  strings about;
  for (const auto& f : planned.error().fields)
    about.push_back(f.field);
  EXPECT_EQ(about, (strings{"count", "eth1 (0000:01:00.0)", "eth1/vf0", "eth1/vf1"}));
}

TEST(plan, allows_what_cuts_nothing) {
  const std::vector<refusal> table{
    {"settings of the management card's functions",
     {.count = 1},
     wants(1, {{.vlan = vlan_tag{7, 0}}, {}}),
     [](auto& l) { l.default_routes = {11}; },
     ""},
    {"a card whose connections may be cut",
     {},
     wants(1),
     [](auto& l) {
       l.addresses = {{*parse_ip("192.0.2.1"), 11}};
       l.add_connection("010200C0:107E", "01");
       l.management.released = {"eth1"};
     },
     ""},
    {"functions that move to vfio together",
     {.count = 2, .one_group = true},
     {"eth1", {for_vfio, for_vfio}},
     [](auto&) {},
     ""},
    {"a group with a bridge in it",
     {.count = 1},
     wants(1, for_vfio),
     [](auto& l) {
       l.put("bus/pci/devices/0000:00:01.0/class", "0x060400");
       l.link("bus/pci/devices/0000:00:01.0/driver", "bus/pci/drivers/pcieport");
       l.link("kernel/iommu_groups/21/devices/0000:00:01.0", "bus/pci/devices/0000:00:01.0");
     },
     ""},
    {"no IOMMU, on purpose",
     {.group = std::nullopt},
     {"eth1", {for_vfio}, true},
     [](auto& l) { l.put("module/vfio/parameters/enable_unsafe_noiommu_mode", "Y"); },
     ""}};
  for (const auto& [what, card, wanted, with, why] : table) {
    fake_machine lab;
    lab.add_card(card);
    with(lab);
    const auto seen = lab.look();
    const auto planned = plan(seen.has, wanted, seen.use);
    ASSERT_TRUE(planned) << what << ": " << to_string(planned.error());
    EXPECT_FALSE(planned->empty()) << what;
  }
}

} // namespace
} // namespace marchproxy::sriov
