// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/decision_log.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <fstream>

namespace marchproxy::egress {
namespace {

relay::decision_record a_record() {
  relay::decision_record r;
  r.request = 0xab;
  r.via = relay::entry::socks5;
  r.source = {*parse_ip("10.0.0.1"), 4711};
  r.asked = "www.example.org:443";
  r.name = "www.example.org";
  r.sni = "cdn.example.org";
  r.address = parse_ip("192.0.2.7");
  r.port = 443;
  r.mapping = mapping_id{7};
  r.revision = revision{3};
  r.allowed = true;
  r.why = relay::reason::mapping_allow;
  r.bytes_up = 10;
  r.bytes_down = 20;
  r.started = *parse_time("2026-11-29T01:02:03.000000Z");
  r.ended = *parse_time("2026-11-29T01:02:03.250000Z");
  return r;
}

class decision_logs : public ::testing::Test {
protected:
  decision_logs()
    : path_(std::filesystem::temp_directory_path()
            / ("decisions_" + std::to_string(::getpid()) + ".jsonl")) {}
  ~decision_logs() override { std::filesystem::remove(path_); }
  std::filesystem::path path_;
};

TEST_F(decision_logs, a_line_says_who_where_why_and_how_much) {
  auto line = nlohmann::json::parse(to_json_line(a_record(), "egress-1"));
  EXPECT_EQ(line["proxy"], "egress-1");
  EXPECT_EQ(line["source"], "10.0.0.1");
  EXPECT_EQ(line["name"], "www.example.org");
  EXPECT_EQ(line["sni"], "cdn.example.org");
  EXPECT_EQ(line["address"], "192.0.2.7");
  EXPECT_EQ(line["verdict"], "allow");
  EXPECT_EQ(line["reason"], "mapping_allow");
  EXPECT_EQ(line["mapping"], 7);
  EXPECT_EQ(line["revision"], 3);
  EXPECT_EQ(line["via"], "socks5");
  EXPECT_EQ(line["protocol"], "tcp");
  EXPECT_EQ(line["identity"], nullptr);
  EXPECT_EQ(line["bytes_down"], 20);
  EXPECT_EQ(line["milliseconds"], 250);
}

TEST_F(decision_logs, a_refusal_by_nobody_has_no_mapping_and_no_address) {
  auto r = a_record();
  r.mapping = {};
  r.sni = "";
  r.address = std::nullopt;
  r.allowed = false;
  r.why = relay::reason::implicit_deny;
  auto line = nlohmann::json::parse(to_json_line(r, "p"));
  EXPECT_EQ(line["mapping"], nullptr);
  EXPECT_EQ(line["sni"], nullptr);
  EXPECT_EQ(line["address"], nullptr);
  EXPECT_EQ(line["verdict"], "deny");
}

TEST_F(decision_logs, bytes_that_are_no_text_leave_the_line_json) {
  auto r = a_record();
  r.asked = "\xff\xfe\n\"";
  EXPECT_TRUE(nlohmann::json::accept(to_json_line(r, "p")));
}

TEST_F(decision_logs, lines_are_in_the_file_at_once_and_go_on_after_a_restart) {
  for (int run = 0; run < 2; ++run) {
    auto log = decision_log::open(path_, "p");
    ASSERT_TRUE(log) << to_string(log.error());
    (*log)->write(a_record());
    std::ifstream in{path_};
    std::string line;
    int lines = 0;
    while (std::getline(in, line)) {
      EXPECT_EQ(nlohmann::json::parse(line)["request"], "00000000000000ab");
      ++lines;
    }
    EXPECT_EQ(lines, run + 1);
    EXPECT_EQ((*log)->errors(), 0U);
  }
}

TEST_F(decision_logs, a_file_that_cannot_be_opened_is_an_error) {
  std::ofstream{path_} << "a file, no directory";
  auto log = decision_log::open(path_ / "decisions.jsonl", "p");
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, errc::unavailable);
}

TEST_F(decision_logs, what_cannot_be_written_is_counted) {
  auto log = decision_log::open("/dev/full", "p");
  ASSERT_TRUE(log) << to_string(log.error());
  (*log)->write(a_record());
  (*log)->write(a_record());
  EXPECT_EQ((*log)->errors(), 2U);
}

} // namespace
} // namespace marchproxy::egress
