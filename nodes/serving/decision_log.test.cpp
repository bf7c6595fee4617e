// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/decision_log.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

namespace marchproxy::serving {
namespace {

bus_schemas::flow_verdict a_verdict() {
  bus_schemas::flow_verdict v;
  v.proxy = "egress-1";
  v.request = "00000000000000ab";
  v.asked = "www.example.org:443";
  return v;
}

class decision_logs : public ::testing::Test {
protected:
  decision_logs()
    : path_(std::filesystem::temp_directory_path()
            / ("decisions_" + std::to_string(::getpid()) + ".jsonl")) {}
  ~decision_logs() override { std::filesystem::remove(path_); }
  std::filesystem::path path_;
};

TEST_F(decision_logs, lines_are_in_the_file_at_once_and_go_on_after_a_restart) {
  for (int run = 0; run < 2; ++run) {
    auto log = decision_log::open(path_);
    ASSERT_TRUE(log) << to_string(log.error());
    (*log)->write(a_verdict());
    std::ifstream in{path_};
    std::string line;
    int lines = 0;
    while (std::getline(in, line)) {
      EXPECT_EQ(line, bus_schemas::encode(a_verdict()));
      ++lines;
    }
    EXPECT_EQ(lines, run + 1);
    EXPECT_EQ((*log)->errors(), 0U);
  }
}

TEST_F(decision_logs, a_file_that_cannot_be_opened_is_an_error) {
  std::ofstream{path_} << "a file, no directory";
  auto log = decision_log::open(path_ / "decisions.jsonl");
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, errc::unavailable);
}

TEST_F(decision_logs, what_cannot_be_written_is_counted) {
  auto log = decision_log::open("/dev/full");
  ASSERT_TRUE(log) << to_string(log.error());
  (*log)->write(a_verdict());
  (*log)->write(a_verdict());
  EXPECT_EQ((*log)->errors(), 2U);
}

} // namespace
} // namespace marchproxy::serving
