// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/apply.hpp"

#include "dpdk/sriov/fake_machine.test.hpp"
#include "dpdk/sriov/report.hpp"
#include "dpdk/sriov/worker_device.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::sriov {
namespace {

using testing::fake_machine;
using strings = std::vector<std::string>;

const std::string card = "bus/pci/devices/0000:01:00.0";

/// Two functions for the worker, the second with a VLAN.
wanted_state two_for_vfio() {
  wanted_state out{"eth1", std::vector<wanted_function>(2, {{}, driver_choice::vfio_pci})};
  out.functions[0].settings.mac = mac_address{2, 0, 0, 0, 0, 1};
  out.functions[1].settings.vlan = vlan_tag{100, 3};
  out.functions[1].settings.spoof_check = false;
  return out;
}

/// All that there is to see of a machine.
std::string state_of(fake_machine& lab) {
  const auto has = lab.look().has;
  auto out = to_json(has).dump() + lab.get(card + "/sriov_drivers_autoprobe");
  for (const auto& f : has.functions[0].functions)
    out += " " + f.driver_override;
  return out;
}

TEST(apply, makes_functions_configures_them_and_gives_them_to_vfio) {
  fake_machine lab;
  lab.add_card({});
  strings announced;
  const auto done =
    apply(lab.at(), two_for_vfio(), [&](const step& s) { announced.push_back(to_string(s.does)); });
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(done->size(), announced.size());
  EXPECT_EQ(lab.log,
            (strings{"sriov_drivers_autoprobe=0", "sriov_numvfs=2", "sriov_drivers_autoprobe=1",
                     "vf 0 mac 02:00:00:00:00:01", "driver_override=vfio-pci",
                     "vfio-pci/bind=0000:01:02.0", "vf 1 vlan 100 qos 3", "vf 1 spoofchk off",
                     "driver_override=vfio-pci", "vfio-pci/bind=0000:01:02.1"}));
  EXPECT_EQ(worker_device(lab.look().has, {"eth1", 1}), "0000:01:02.1");
  EXPECT_EQ(lab.settings[11][1].vlan, (vlan_tag{100, 3}));
}

TEST(apply, twice_changes_nothing) {
  fake_machine lab;
  lab.add_card({});
  ASSERT_TRUE(apply(lab.at(), two_for_vfio(), {}));
  lab.log.clear();
  const auto again = apply(lab.at(), two_for_vfio(), {});
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_TRUE(again->empty());
  EXPECT_TRUE(lab.log.empty());
}

TEST(apply, removes_all_of_them) {
  fake_machine lab;
  lab.add_card({});
  const auto before = state_of(lab);
  ASSERT_TRUE(apply(lab.at(), two_for_vfio(), {}));
  EXPECT_NE(state_of(lab), before);
  const auto done = apply(lab.at(), {"eth1", {}}, {});
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(state_of(lab), before);
}

/// Whichever step fails, the machine is as it was.
TEST(apply, undoes_what_was_done_when_a_step_fails) {
  for (const auto* old : {"fresh", "kernel's", "vfio's", "nobody's"}) {
    auto set = [&](fake_machine& lab) {
      const bool has_some = old == std::string{"kernel's"} || old == std::string{"nobody's"};
      lab.add_card({.count = has_some ? 3U : 0U});
      if (old == std::string{"nobody's"}) {
        EXPECT_TRUE(lab.write("bus/pci/devices/0000:01:02.1/driver/unbind", "0000:01:02.1"));
      }
      lab.settings[11][1].mac = mac_address{2, 0, 0, 0, 0, 9};
      if (old == std::string{"vfio's"}) {
        EXPECT_TRUE(apply(lab.at(),
                          {"eth1", std::vector<wanted_function>(
                                     3, {{.vlan = vlan_tag{9, 0}}, driver_choice::vfio_pci})},
                          {}));
      }
      if (old == std::string{"fresh"})
        lab.settings[11].clear();
      lab.log.clear();
    };
    fake_machine whole;
    set(whole);
    ASSERT_TRUE(apply(whole.at(), two_for_vfio(), {}));
    ASSERT_GE(whole.log.size(), 9u);
    for (std::size_t n = 1; n <= whole.log.size(); ++n) {
      const auto& one = whole.log[n - 1];
      fake_machine lab;
      set(lab);
      const auto before = state_of(lab);
      lab.refuse_at = n;
      const auto done = apply(lab.at(), two_for_vfio(), {});
      ASSERT_FALSE(done) << old << ", " << one;
      EXPECT_EQ(state_of(lab), before) << old << ", " << one << ": " << done.error().message;
    }
  }
}

TEST(apply, names_the_step_the_file_and_the_reason) {
  fake_machine lab;
  lab.add_card({});
  lab.refuses = "vfio-pci/bind=0000:01:02.1";
  const auto done = apply(lab.at(), two_for_vfio(), {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message,
            "give eth1/vf1 to vfio-pci, write 0000:01:02.1 to bus/pci/drivers/vfio-pci/bind: "
            "bus/pci/drivers/vfio-pci/bind: Input/output error; what was done before is undone");
  lab.refuses = "vf 0 mac 02:00:00:00:00:01";
  EXPECT_EQ(apply(lab.at(), two_for_vfio(), {}).error().message,
            "configure eth1/vf0, set dev eth1 vf 0 mac 02:00:00:00:00:01: Operation not supported; "
            "what was done before is undone");
}

TEST(apply, says_what_could_not_be_undone) {
  fake_machine lab;
  lab.add_card({.count = 1});
  lab.refuses = "sriov_numvfs=1"; // what undoing the removal takes
  lab.makes_at_most = 2;
  const auto done = apply(lab.at(), {"eth1", std::vector<wanted_function>(3)}, {});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find(
              "eth1 (0000:01:00.0) has 2 virtual functions instead of 3; what was done before is "
              "undone but for this: write 1 to bus/pci/devices/0000:01:00.0/sriov_numvfs"),
            std::string::npos)
    << done.error().message;
}

TEST(apply, does_not_take_silence_for_success) {
  const std::vector<std::pair<std::string, std::string>> table{
    {"sriov_numvfs=2", "has 0 virtual functions instead of 2"},
    {"vfio-pci/bind=0000:01:02.1", "give eth1/vf1 to vfio-pci: the kernel reported no error"}};
  for (const auto& [ignored, why] : table) {
    fake_machine lab;
    lab.add_card({});
    const auto before = state_of(lab);
    lab.ignores = ignored;
    const auto done = apply(lab.at(), two_for_vfio(), {});
    ASSERT_FALSE(done) << ignored;
    EXPECT_NE(done.error().message.find(why), std::string::npos) << done.error().message;
    EXPECT_EQ(state_of(lab), before);
  }
}

TEST(apply, does_nothing_when_it_can_be_known_to_fail) {
  fake_machine lab;
  lab.add_card({});
  lab.remove("bus/pci/drivers/vfio-pci");
  EXPECT_FALSE(apply(lab.at(), two_for_vfio(), {}));
  EXPECT_TRUE(lab.log.empty());
}

/// What only the functions themselves show: their groups.
TEST(apply, takes_functions_back_that_vfio_cannot_have) {
  fake_machine lab;
  lab.add_card({});
  lab.put("bus/pci/devices/0000:01:04.0/class", "0x010802");
  lab.link("bus/pci/devices/0000:01:04.0/driver", "bus/pci/drivers/nvme");
  lab.link("kernel/iommu_groups/22/devices/0000:01:04.0", "bus/pci/devices/0000:01:04.0");
  const auto before = state_of(lab);
  const auto done = apply(lab.at(), two_for_vfio(), {});
  ASSERT_FALSE(done);
  EXPECT_NE(to_string(done.error()).find("IOMMU group 22 also holds 0000:01:04.0"),
            std::string::npos)
    << to_string(done.error());
  EXPECT_EQ(state_of(lab), before);
}

TEST(apply, sets_what_a_driver_does_not_tell) {
  fake_machine lab;
  lab.add_card({});
  lab.tells_settings = false;
  auto wanted = two_for_vfio();
  const auto done = apply(lab.at(), wanted, {});
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(lab.settings[11][1].spoof_check, false);
}

} // namespace
} // namespace marchproxy::sriov
