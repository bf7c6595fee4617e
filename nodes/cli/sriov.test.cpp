// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/sriov.hpp"

#include "dpdk/sriov/fake_machine.test.hpp"

#include <nlohmann/json.hpp>

#include <sstream>

namespace marchproxy::cli {
namespace {

using nlohmann::json;

class sriov_test : public testing::Test {
protected:
  int call(const std::vector<std::string>& words, const std::string& input = {}) {
    std::istringstream in(input);
    out.str("");
    err.str("");
    terminal at{in, out, err};
    auto given = parse_arguments(words, {});
    EXPECT_TRUE(given);
    return given ? run_sriov_on(lab.at(), *given, at) : exit_usage;
  }
  [[nodiscard]] bool says(const std::string& part) const {
    return out.str().find(part) != std::string::npos;
  }

  sriov::testing::fake_machine lab;
  std::ostringstream out;
  std::ostringstream err;
};

TEST_F(sriov_test, shows_what_it_would_do_and_does_it) {
  lab.add_card({});
  const std::vector<std::string> wanted{"eth1",
                                        "--set",
                                        "count=2",
                                        "--set",
                                        "all.driver=vfio-pci",
                                        "--set",
                                        "functions.0.mac=02:00:00:00:00:01"};
  auto with = [&](const char* verb) {
    std::vector<std::string> words{"sriov", verb};
    words.insert(words.end(), wanted.begin(), wanted.end());
    return words;
  };
  EXPECT_EQ(call(with("plan")), exit_ok) << err.str();
  EXPECT_TRUE(says("in " + lab.root + ":\n")) << out.str();
  EXPECT_TRUE(says("write 2 to bus/pci/devices/0000:01:00.0/sriov_numvfs  "
                   "(make 2 virtual functions of eth1 (0000:01:00.0))\n"))
    << out.str();
  EXPECT_TRUE(lab.log.empty()) << "a plan does nothing";
  auto planned = out.str();
  planned.erase(0, planned.find('\n') + 1);
  EXPECT_EQ(call(with("apply")), exit_ok) << err.str();
  EXPECT_EQ(out.str(), planned + "done\n");
  EXPECT_EQ(call(with("apply")), exit_ok);
  EXPECT_EQ(out.str(), "nothing to do: all is as wanted\n");
  EXPECT_EQ(call({"sriov", "list"}), exit_ok);
  for (const auto* part : {"eth1/vf0", "0000:01:02.0", "vfio-pci", "02:00:00:00:00:01"})
    EXPECT_TRUE(says(part)) << part << "\n" << out.str();
  EXPECT_EQ(call({"sriov", "remove", "eth1"}), exit_ok) << err.str();
  EXPECT_EQ(lab.get("bus/pci/devices/0000:01:00.0/sriov_numvfs"), "0");
}

TEST_F(sriov_test, speaks_json) {
  lab.add_card({.count = 1});
  EXPECT_EQ(call({"sriov", "list", "--json"}), exit_ok);
  const auto listed = json::parse(out.str());
  EXPECT_EQ(listed.at("physical_functions").at(0).at("functions").at(0).at("driver"), "iavf");
  EXPECT_EQ(listed.at("unused"), "");
  EXPECT_EQ(call({"sriov", "plan", "-f", "-", "--json"},
                 R"({"device": "eth1", "count": 1, "all": {"trust": true}})"),
            exit_ok)
    << err.str();
  const auto steps = json::parse(out.str()).at("steps");
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].at("does"), "set dev eth1 vf 0 trust on");
  EXPECT_EQ(steps[0].at("back").at(0), "set dev eth1 vf 0 trust off");
  EXPECT_EQ(call({"sriov", "apply", "eth1", "--set", "count=1", "--json"}), exit_ok);
  EXPECT_TRUE(json::parse(out.str()).at("steps").empty());
}

TEST_F(sriov_test, tells_each_reason_against_it) {
  lab.add_card({.count = 1});
  lab.default_routes = {11};
  lab.set_up("eth1v0", true);
  EXPECT_EQ(call({"sriov", "remove", "eth1"}), exit_failed);
  EXPECT_NE(err.str().find(
              "conflict: there are 2 reasons against it\n  eth1 (0000:01:00.0): the machine is "
              "managed by eth1 (a default route goes by it)"),
            std::string::npos)
    << err.str();
  EXPECT_NE(err.str().find("\n  eth1/vf0: its interface eth1v0 is up"), std::string::npos);
  EXPECT_TRUE(lab.log.empty());
}

TEST_F(sriov_test, tells_wrong_usage_apart_from_failure) {
  lab.add_card({});
  EXPECT_EQ(call({"sriov"}), exit_usage);
  EXPECT_EQ(call({"sriov", "shred"}), exit_usage);
  EXPECT_EQ(call({"sriov", "plan"}), exit_usage);
  EXPECT_NE(err.str().find("  device: is required\n  count: is required"), std::string::npos)
    << err.str();
  EXPECT_EQ(call({"sriov", "plan", "eth1", "--set", "count=1", "--set", "all.vlan=5000"}),
            exit_usage);
  EXPECT_NE(err.str().find("all.vlan"), std::string::npos);
  EXPECT_EQ(call({"sriov", "remove", "eth1", "--set", "count=1"}), exit_usage);
  EXPECT_EQ(call({"sriov", "apply", "eth9", "--set", "count=1"}), exit_failed);
  EXPECT_NE(err.str().find("not_found: device: no network card with SR-IOV is called 'eth9'"),
            std::string::npos)
    << err.str();
}

TEST_F(sriov_test, says_that_there_is_no_such_card) {
  EXPECT_EQ(call({"sriov", "list"}), exit_ok);
  EXPECT_EQ(out.str(), "no network card of this machine has SR-IOV\n");
}

/// By the program itself: a tree of another machine is shown, and not written to.
TEST_F(sriov_test, refuses_to_change_a_tree_that_is_not_of_this_kernel) {
  lab.add_card({});
  std::istringstream in;
  terminal at{in, out, err};
  EXPECT_EQ(run({"sriov", "list", "--sysfs", lab.root}, {}, at), exit_ok) << err.str();
  EXPECT_TRUE(says("0000:01:00.0")) << out.str();
  EXPECT_EQ(run({"sriov", "apply", "eth1", "--set", "count=1", "--sysfs", lab.root}, {}, at),
            exit_failed);
  EXPECT_EQ(lab.get("bus/pci/devices/0000:01:00.0/sriov_numvfs"), "0");
  EXPECT_EQ(run({"sriov", "list", "--sysfs", "/nowhere"}, {}, at), exit_usage);
}

} // namespace
} // namespace marchproxy::cli
