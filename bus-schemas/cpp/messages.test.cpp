// SPDX-License-Identifier: AGPL-3.0-only
#include "bus-schemas/messages.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

namespace marchproxy::bus_schemas {
namespace {

std::vector<std::filesystem::path> golden(const char* kind) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(MP_BUS_SCHEMAS "/golden/") + kind))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

nlohmann::json load(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

/// The message decoded by the type its envelope names, and encoded again.
result<std::string> through_codec(const std::string& type, const std::string& bytes) {
  std::optional<result<std::string>> out;
  const bool known = visit_type(type, [&]<class Message>(std::type_identity<Message>) {
    auto read = decode_event<Message>(bytes);
    if (read)
      out = encode_event(read->head, read->data);
    else
      out = tl::unexpected(read.error());
  });
  if (!known)
    return decode<envelope>(bytes).map([](const envelope& e) { return encode(e); });
  return *std::move(out);
}

TEST(messages, valid_golden_messages_come_through_unchanged) {
  for (const auto& path : golden("valid")) {
    auto message = load(path);
    const auto out = through_codec(message.at("type"), message.dump());
    ASSERT_TRUE(out) << path.filename() << ": " << to_string(out.error());
    message["datacontenttype"] = "application/json";
    message.erase("extension");
    message["data"].erase("future");
    EXPECT_EQ(nlohmann::json::parse(*out), message) << path.filename();
  }
}

TEST(messages, invalid_golden_messages_are_refused_by_the_name_of_the_field) {
  for (const auto& path : golden("invalid")) {
    const auto document = load(path);
    const auto& message = document.at("event");
    const auto type = message.value("type", "");
    const auto out = through_codec(type, message.dump());
    ASSERT_FALSE(out) << path.filename();
    EXPECT_EQ(out.error().code, errc::invalid_argument) << path.filename();
    ASSERT_EQ(out.error().fields.size(), 1U) << path.filename();
    EXPECT_EQ(out.error().fields.front().field, document.at("field")) << path.filename();
  }
}

TEST(messages, every_message_has_a_golden_one) {
  std::vector<std::string> seen;
  for (const auto& path : golden("valid"))
    seen.push_back(load(path).at("type"));
  for (const auto& entry : std::filesystem::directory_iterator(MP_BUS_SCHEMAS "/events")) {
    auto name = entry.path().filename().string();
    name = "io.marchproxy." + name.substr(0, name.find(".schema.json"));
    EXPECT_NE(std::find(seen.begin(), seen.end(), name), seen.end()) << name;
    EXPECT_TRUE(visit_type(name, [](auto) {})) << name;
  }
}

TEST(messages, a_message_of_another_type_is_refused) {
  const auto bytes =
    load(std::filesystem::path(MP_BUS_SCHEMAS "/golden/valid/proxy.ack.full.json")).dump();
  const auto out = decode_event<config_commit>(bytes);
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().fields.front().field, "type");
}

TEST(messages, a_field_that_comes_twice_is_refused) {
  const auto out = decode<config_commit>(R"({"revision":1,"revision":2,"sha256":""})");
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().fields.front(), (field_error{"revision", "appears twice"}));
}

TEST(messages, a_counter_that_comes_twice_is_refused) {
  const auto out = decode<proxy_status>(R"({"counters":{"a":1,"a":2}})");
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().fields.front(), (field_error{"counters.a", "appears twice"}));
}

TEST(messages, what_is_not_json_is_refused) {
  for (const std::string bytes : {"", "{", "nonsense", "{\"revision\":1}x", "\xff\xfe"})
    EXPECT_FALSE(decode<config_commit>(bytes)) << bytes;
  EXPECT_FALSE(decode<config_commit>("[]"));
}

TEST(messages, deep_nesting_and_great_size_are_refused) {
  EXPECT_FALSE(decode<request_mapping>(R"({"op":"create","api_key":"k","body":{"a":)"
                                       + std::string(100, '[') + std::string(100, ']') + "}}"));
  const auto big = decode<config_abort>(R"({"revision":1,"reason":")"
                                        + std::string(max_message_bytes, 'a') + "\"}");
  ASSERT_FALSE(big);
  EXPECT_EQ(big.error().code, errc::too_large);
}

TEST(messages, times_are_checked_against_the_calendar) {
  const auto with = [](const std::string& time) {
    return R"({"specversion":"1.0","id":"a","source":"/s","type":"io.marchproxy.x","data":{},)"
           R"("time":")"
           + time + "\"}";
  };
  for (const char* good : {"2026-11-24T01:02:03Z", "2024-02-29T23:59:59.123456789Z",
                           "2026-11-24T01:02:03+05:30", "2000-02-29t00:00:00z"})
    EXPECT_TRUE(decode<envelope>(with(good))) << good;
  for (const char* wrong : {"", "2026-11-24", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
                            "2026-13-01T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T01:60:00Z",
                            "2026-11-24T01:02:60Z", "2026-11-24T01:02:03", "2026-11-24T01:02:03.Z",
                            "2026-11-24T01:02:03+24:00", "2026-11-24T01:02:03Z "})
    EXPECT_FALSE(decode<envelope>(with(wrong))) << wrong;
}

TEST(messages, control_characters_and_quotes_survive) {
  config_abort out;
  out.revision = 1;
  out.reason = std::string("a\"b\\c\x01\x1f\t\n/\xc3\xbc", 13);
  const auto back = decode<config_abort>(encode(out));
  ASSERT_TRUE(back) << to_string(back.error());
  EXPECT_EQ(*back, out);
}

TEST(messages, numbers_at_their_bounds_survive) {
  config_commit out;
  out.revision = 9007199254740991U;
  out.sha256 = std::string(64, 'a');
  const auto back = decode<config_commit>(encode(out));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, out);
}

} // namespace
} // namespace marchproxy::bus_schemas
