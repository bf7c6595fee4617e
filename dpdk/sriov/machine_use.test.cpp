// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/machine_use.hpp"

#include "dpdk/sriov/fake_machine.test.hpp"
#include "tests/support/needs_rights.hpp"

#include <sched.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace marchproxy::sriov {
namespace {

using testing::fake_machine;

std::string names(const machine_use& use) {
  std::string out;
  for (const auto& [name, why] : use.management)
    out += name + " ";
  return out;
}

TEST(machine_use, knows_the_management_link_by_routes_connections_and_name) {
  fake_machine lab;
  lab.add_card({});
  lab.add_card({.address = "0000:02:00.0", .interface = "eth2", .index = 12});
  lab.add_card({.address = "0000:03:00.0", .interface = "eth3", .index = 13});
  lab.addresses = {{*parse_ip("192.0.2.1"), 12}, {*parse_ip("198.51.100.1"), 13}};
  EXPECT_EQ(names(lab.look().use), "");
  lab.default_routes = {11};
  EXPECT_EQ(names(lab.look().use), "eth1 ");
  lab.add_connection("010200C0:0016", "0A"); // listens
  EXPECT_EQ(names(lab.look().use), "eth1 ");
  lab.add_connection("010200C0:0016", "01");
  const auto use = lab.look().use;
  EXPECT_EQ(names(use), "eth1 eth2 ");
  EXPECT_EQ(use.management.at("eth2"),
            "an established connection uses its address 192.0.2.1, port 22");
  lab.management.named = {"eth3"};
  EXPECT_EQ(names(lab.look().use), "eth1 eth2 eth3 ");
  lab.management = {{}, {"eth1", "eth2"}};
  EXPECT_EQ(names(lab.look().use), "eth1 ") << "a default route is not released";
  lab.management.named = {"eth4"};
  EXPECT_EQ(observe(lab.at()).error().code, errc::invalid_argument);
}

TEST(machine_use, goes_down_through_bonds_bridges_and_vlans) {
  fake_machine lab;
  lab.add_card({});
  lab.add_card({.address = "0000:02:00.0", .interface = "eth2", .index = 12});
  lab.add_card({.address = "0000:03:00.0", .interface = "eth3", .index = 13});
  lab.add_stacked("bond0", 20, {"eth1", "eth2"});
  lab.add_stacked("bond0.7", 21, {"bond0"});
  lab.add_stacked("br0", 22, {"bond0.7"});
  lab.default_routes = {22};
  const auto use = lab.look().use;
  EXPECT_EQ(names(use), "bond0 bond0.7 br0 eth1 eth2 ");
  EXPECT_EQ(use.management.at("eth1"),
            "it is below bond0: it is below bond0.7: it is below br0: a default route goes by it");
}

TEST(machine_use, knows_connections_over_ipv6_too) {
  fake_machine lab;
  lab.add_card({});
  lab.addresses = {{*parse_ip("2001:db8::1"), 11}};
  std::filesystem::rename(lab.proc + "/net/tcp", lab.proc + "/net/tcp6");
  std::ofstream{lab.proc + "/net/tcp6", std::ios::app}
    << "   0: B80D0120000000000000000001000000:1F90 B80D0120000000000000000002000000:C000 01 0 0\n";
  EXPECT_EQ(names(lab.look().use), "eth1 ");
}

TEST(machine_use, knows_who_has_vfio_devices_open) {
  fake_machine lab;
  lab.add_card({});
  lab.add_open_file("/dev/vfio/21");
  lab.add_open_file("/dev/null");
  EXPECT_EQ(lab.look().use.open_files, std::set<std::string>{"/dev/vfio/21"});
}

/// The kernel's own links between stacked interfaces, in namespaces of the test's own.
TEST(machine_use, goes_down_through_what_the_kernel_stacks) {
  bool made = false;
  std::thread{[&] {
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0)
      return;
    made = true;
    // A sysfs of this namespace, which nobody else sees.
    ASSERT_EQ(std::system("mount --make-rprivate / && mount -t sysfs sysfs /sys && "
                          "ip link add v0 type veth peer name v1 && ip link set v0 up && "
                          "ip link set v1 up && ip link add br0 type bridge && "
                          "ip link set v0 master br0 && ip link set br0 up && "
                          "ip link add link br0 name m0 type macvlan && ip link set m0 up && "
                          "ip address add 192.0.2.1/24 dev m0 && "
                          "ip route add default via 192.0.2.2"),
              0);
    const auto has = read_inventory(sysfs_reader{"/sys"});
    ASSERT_TRUE(has) << to_string(has.error());
    auto kernel = kernel_netlink::open();
    ASSERT_TRUE(kernel);
    const auto use = read_use(*has, {}, **kernel, "/proc");
    ASSERT_TRUE(use) << to_string(use.error());
    EXPECT_EQ(names(*use), "br0 m0 v0 ");
  }}.join();
  if (made)
    return;
  MP_NEEDS_RIGHTS("needs the right to make namespaces");
}

} // namespace
} // namespace marchproxy::sriov
