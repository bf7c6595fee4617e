// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/sysfs.hpp"

#include "dpdk/sriov/fake_machine.test.hpp"

namespace marchproxy::sriov {
namespace {

using testing::fake_machine;

TEST(sysfs, writes_what_is_there_and_makes_nothing) {
  fake_machine lab;
  lab.put("bus/number", "");
  file_writer files{lab.root};
  EXPECT_TRUE(files.write("bus/number", "12"));
  EXPECT_EQ(lab.get("bus/number"), "12");
  const auto missing = files.write("bus/nothing", "1");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, errc::not_found);
  EXPECT_NE(missing.error().message.find("bus/nothing: No such file"), std::string::npos);
  EXPECT_FALSE(lab.reader.exists("bus/nothing"));
  const auto directory = files.write("bus", "1");
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message.find("/sys/bus: Is a directory"), std::string::npos);
}

TEST(sysfs, reads_numbers_texts_and_links) {
  fake_machine lab;
  lab.put("a/hex", "0x1F");
  lab.put("a/minus", "-1");
  lab.link("a/link", "bus/pci/drivers/ice");
  EXPECT_EQ(*lab.reader.number("a/hex"), 31);
  EXPECT_EQ(*lab.reader.number("a/minus"), -1);
  EXPECT_EQ(*lab.reader.number("a/none"), std::nullopt);
  EXPECT_EQ(*lab.reader.link("a/link"), "ice");
  EXPECT_EQ(*lab.reader.link("a/none"), std::nullopt);
  EXPECT_EQ(*lab.reader.names("a"), (std::vector<std::string>{"hex", "link", "minus"}));
  EXPECT_TRUE(lab.reader.names("b")->empty());
}

} // namespace
} // namespace marchproxy::sriov
