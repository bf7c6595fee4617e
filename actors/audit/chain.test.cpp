// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/audit/chain.hpp"

#include "actors/crypto/digest.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace marchproxy::audit {
namespace {

using nlohmann::json;

record entry(std::uint64_t number) {
  record out;
  out.ledger = "edge-1";
  out.time = parse_time("2026-11-24T01:02:03.000004Z").value() + std::chrono::seconds{number};
  out.actor = {actor_kind::user, "7", "alice \"A\" ü"};
  out.source = "192.0.2.1";
  out.action = "mapping.update";
  out.resource = {"mapping", std::to_string(number), "web to db"};
  out.revision = revision{number % 3};
  if (number % 2 == 0)
    out.before = R"({"ports":"80","priority":100})";
  out.after = R"({"ports":"443","priority":90})";
  return out;
}

std::vector<record> chain(std::uint64_t size) {
  std::vector<record> out;
  chain_head head;
  for (std::uint64_t i = 1; i <= size; ++i) {
    out.push_back(append(head, entry(i)).value());
    head = head_of(out.back());
  }
  return out;
}

std::vector<std::string> lines(const std::vector<record>& records) {
  std::vector<std::string> out;
  for (const auto& one : records)
    out.push_back(to_line(one));
  return out;
}

verifier::report verify(const std::vector<std::string>& all, expectation expected = {}) {
  verifier v{std::move(expected)};
  for (const auto& line : all)
    v.add_line(line);
  return v.finish();
}

TEST(audit_chain, has_the_documented_bytes_and_hash) {
  record one;
  one.ledger = "installation";
  one.time = parse_time("2026-11-24T01:02:03Z").value();
  one.action = "start";
  const auto first = append({}, one).value();
  const std::string zeros(64, '0');
  const std::string bytes =
    R"({"ledger":"installation","sequence":1,"time":"2026-11-24T01:02:03.000000Z",)"
    R"("actor":{"kind":"system","id":"","name":""},"source":"","action":"start",)"
    R"("resource":{"type":"","id":"","name":""},"outcome":"success","previous_hash":")"
    + zeros + "\"}";
  EXPECT_EQ(canonical(first), bytes);
  EXPECT_EQ(first.hash, crypto::sha256_hex(zeros + bytes));
  EXPECT_EQ(append(head_of(first), one).value().previous_hash, first.hash);
}

TEST(audit_chain, an_intact_chain_holds_and_gives_its_head) {
  const auto records = chain(50);
  const auto report = verify(lines(records));
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.records, 50U);
  EXPECT_EQ(report.head, head_of(records.back()));
  EXPECT_TRUE(verify({}).ok());
  for (const auto& one : records)
    EXPECT_EQ(parse_record(to_line(one)).value(), one);
}

TEST(audit_chain, keys_may_come_in_another_order_with_spaces) {
  auto all = lines(chain(5));
  for (auto& line : all)
    line = "  " + json::parse(line).dump(1) + "\r\n";
  all.push_back("");
  EXPECT_TRUE(verify(all).ok());
}

TEST(audit_chain, any_flipped_bit_is_found_at_its_record) {
  const auto intact = lines(chain(7));
  const std::uint64_t at = 4;
  for (std::size_t byte = 0; byte < intact[at - 1].size(); ++byte)
    for (int bit = 0; bit < 8; ++bit) {
      auto all = intact;
      auto& c = all[at - 1][byte];
      c = static_cast<char>(c ^ (1 << bit));
      const auto report = verify(all);
      ASSERT_FALSE(report.ok()) << all[at - 1];
      ASSERT_EQ(report.broken->sequence, at) << report.broken->reason << all[at - 1];
      ASSERT_EQ(report.records, at - 1);
    }
}

TEST(audit_chain, deletion_insertion_duplication_and_exchange_are_found_at_their_place) {
  const auto intact = lines(chain(9));
  for (std::size_t i = 0; i + 1 < intact.size(); ++i) {
    const auto place = static_cast<std::uint64_t>(i) + 1;
    const auto expect = [&](const std::vector<std::string>& all, std::uint64_t at,
                            break_kind kind) {
      const auto report = verify(all);
      ASSERT_FALSE(report.ok());
      EXPECT_EQ(report.broken->sequence, at);
      EXPECT_EQ(report.broken->kind, kind) << report.broken->reason;
    };
    auto all = intact;
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
    expect(all, place, break_kind::missing);
    all = intact;
    all.insert(all.begin() + static_cast<std::ptrdiff_t>(i), intact[i]);
    expect(all, place + 1, break_kind::repeated);
    all = intact;
    std::swap(all[i], all[i + 1]);
    expect(all, place, break_kind::missing);
    all = intact;
    all.insert(all.begin() + static_cast<std::ptrdiff_t>(i) + 1, "{}");
    expect(all, place + 1, break_kind::malformed);
  }
}

TEST(audit_chain, a_forged_record_with_its_own_right_hash_is_found) {
  auto records = chain(6);
  records[2].after = R"({"ports":"22"})";
  records[2].hash = hash_of(records[2]);
  const auto report = verify(lines(records));
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.broken->sequence, 4U); // the next one does not follow it
  EXPECT_EQ(report.broken->kind, break_kind::wrong_previous);
}

TEST(audit_chain, a_ledger_made_anew_or_cut_is_found_by_a_head_kept_elsewhere) {
  const auto records = chain(6);
  const auto kept = head_of(records[4]);
  EXPECT_TRUE(verify(lines(records), {.head = kept}).ok()); // it has grown since

  auto forged = records;
  forged[2].after = R"({"ports":"22"})";
  chain_head head = head_of(forged[1]);
  for (std::size_t i = 2; i < forged.size(); ++i) {
    forged[i] = append(head, forged[i]).value();
    head = head_of(forged[i]);
  }
  EXPECT_TRUE(verify(lines(forged)).ok());
  const auto found = verify(lines(forged), {.head = kept});
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.broken->kind, break_kind::wrong_head);
  EXPECT_EQ(found.broken->sequence, 5U);

  auto cut = lines(records);
  cut.resize(3);
  const auto shorter = verify(cut, {.head = kept});
  ASSERT_FALSE(shorter.ok());
  EXPECT_EQ(shorter.broken->kind, break_kind::truncated);
  EXPECT_EQ(shorter.broken->sequence, 4U);
}

TEST(audit_chain, a_later_part_is_verified_from_the_head_before_it) {
  const auto records = chain(9);
  const auto all = lines(records);
  const std::vector<std::string> part(all.begin() + 5, all.end());
  EXPECT_TRUE(verify(part, {.after = head_of(records[4])}).ok());
  EXPECT_FALSE(verify(part).ok());
  EXPECT_FALSE(verify(part, {.after = head_of(records[3])}).ok());
}

TEST(audit_chain, a_record_of_another_ledger_is_found) {
  const auto records = chain(3);
  auto foreign = entry(4);
  foreign.ledger = "edge-2";
  auto all = lines(records);
  all.push_back(to_line(append(head_of(records.back()), foreign).value()));
  const auto report = verify(all);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.broken->kind, break_kind::wrong_ledger);
  EXPECT_EQ(report.broken->sequence, 4U);
  EXPECT_EQ(verify(all, {.ledger = "edge-2"}).broken->sequence, 1U);
}

TEST(audit_chain, append_lets_no_secret_and_no_malformed_text_in) {
  auto one = entry(1);
  one.after = R"({"z":1,"password":"hunter2","a":{"token":"t"}})";
  one.actor.name = std::string(127, 'n') + "ü" + std::string(1000, 'n');
  one.source = "bad\xff";
  const auto got = append({}, one).value();
  EXPECT_EQ(got.after, R"({"a":{"token":"[redacted]"},"password":"[redacted]","z":1})");
  EXPECT_EQ(got.actor.name, std::string(127, 'n'));
  EXPECT_EQ(got.source, "bad\xef\xbf\xbd");
  EXPECT_TRUE(verify({to_line(got)}).ok());
  one.after = "{";
  EXPECT_FALSE(append({}, one));
  one.after = "";
  one.action = "";
  EXPECT_FALSE(append({}, one));
}

TEST(audit_record, refuses_ambiguous_and_incomplete_json) {
  const auto line = to_line(chain(2)[1]);
  ASSERT_TRUE(parse_record(line));
  auto twice = line;
  twice.insert(1, R"("outcome":"denied",)");
  EXPECT_FALSE(parse_record(twice));
  auto inner = line;
  inner.replace(inner.find(R"({"ports":"443")"), 1, R"({"ports":"22",)");
  EXPECT_FALSE(parse_record(inner));
  const auto value = json::parse(line);
  for (const auto& item : value.items()) {
    auto changed = value;
    changed[item.key()] = nullptr;
    EXPECT_FALSE(parse_record(changed.dump())) << item.key();
    changed.erase(item.key());
    const bool optional =
      item.key() == "revision" || item.key() == "before" || item.key() == "after";
    EXPECT_EQ(parse_record(changed.dump()).has_value(), optional) << item.key();
  }
  auto deep = line;
  deep.replace(deep.find(R"({"ports":"443")"), 1,
               "{\"a\":" + std::string(300'000, '[') + std::string(300'000, ']') + ",");
  EXPECT_FALSE(parse_record(deep));
  for (const auto* bad : {"", "[]", "null", "1", "{", "\xff", "{}"})
    EXPECT_FALSE(parse_record(bad)) << bad;
}

} // namespace
} // namespace marchproxy::audit
