// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/streams.hpp"

#include "tests/support/bus_deployment.hpp"

#include <gtest/gtest.h>

namespace {

using namespace marchproxy;
using namespace marchproxy::bus;
using namespace marchproxy::testing;

constexpr cluster_id a{1};

class streams_test : public ::testing::Test {
protected:
  streams_test() {
    d.add_cluster(a, "cluster-a");
    manager = d.user(a, role::manager);
    for (const auto& config : {config_stream(), audit_stream(), events_stream()}) {
      const auto made = ensure_stream(*manager.bus, config, 5s);
      EXPECT_TRUE(made) << config.name << ": " << to_string(made.error());
    }
  }

  result<publish_receipt> publish(std::string subject, std::string data, publish_terms terms = {}) {
    return publish_acked(*manager.bus, std::move(subject), std::move(data), terms, 5s);
  }

  bus_deployment d;
  bus_user manager;
};

TEST_F(streams_test, ensuring_again_changes_nothing_and_new_settings_are_taken_over) {
  ASSERT_TRUE(publish("mp.v1.audit.x", "1"));
  ASSERT_TRUE(ensure_stream(*manager.bus, audit_stream(), 5s));
  auto config = events_stream();
  config.max_bytes /= 2;
  const auto changed = ensure_stream(*manager.bus, config, 5s);
  ASSERT_TRUE(changed) << to_string(changed.error());
  EXPECT_EQ(stream_info(*manager.bus, "AUDIT", 5s)->messages, 1U);
  EXPECT_EQ(stream_info(*manager.bus, "NONE", 5s).error().code, errc::not_found);
}

TEST_F(streams_test, the_newest_configuration_of_each_subject_is_read_directly) {
  ASSERT_TRUE(publish("mp.v1.cfg.all.active", "one"));
  const auto second = publish("mp.v1.cfg.all.active", "two");
  ASSERT_TRUE(second);
  const auto got = direct_get_last(*manager.bus, "CFG", "mp.v1.cfg.all.active", 5s);
  ASSERT_TRUE(got) << to_string(got.error());
  EXPECT_EQ(got->data, "two");
  EXPECT_EQ(got->subject, "mp.v1.cfg.all.active");
  EXPECT_EQ(got->sequence, second->sequence);
  EXPECT_EQ(stream_info(*manager.bus, "CFG", 5s)->messages, 1U);
  EXPECT_EQ(direct_get_last(*manager.bus, "CFG", "mp.v1.cfg.all.none", 5s).error().code,
            errc::not_found);
}

TEST_F(streams_test, a_publish_on_an_outdated_sequence_is_refused) {
  const std::string subject = "mp.v1.cfg.all.active";
  const auto first = publish(subject, "1", {.expected_subject_sequence = 0});
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(publish(subject, "x", {.expected_subject_sequence = 0}).error().code,
            errc::precondition_failed);
  EXPECT_TRUE(publish(subject, "2", {.expected_subject_sequence = first->sequence}));
  EXPECT_EQ(publish(subject, "x", {.expected_subject_sequence = first->sequence}).error().code,
            errc::precondition_failed);
}

TEST_F(streams_test, the_same_audit_id_is_stored_once) {
  const auto first = publish("mp.v1.audit.x", "1", {.id = "record-1"});
  const auto again = publish("mp.v1.audit.x", "1", {.id = "record-1"});
  ASSERT_TRUE(first);
  ASSERT_TRUE(again);
  EXPECT_FALSE(first->duplicate);
  EXPECT_TRUE(again->duplicate);
  EXPECT_EQ(first->sequence, again->sequence);
  EXPECT_EQ(stream_info(*manager.bus, "AUDIT", 5s)->messages, 1U);
}

TEST_F(streams_test, not_even_the_manager_takes_an_audit_record_back) {
  ASSERT_TRUE(publish("mp.v1.audit.x", "1"));
  const auto deleted =
    manager.bus->request({"$JS.API.STREAM.MSG.DELETE.AUDIT", R"({"seq":1})"}, 2s);
  EXPECT_FALSE(deleted && read_consumer_reply(*deleted));
  for (const auto* subject : {"$JS.API.STREAM.PURGE.AUDIT", "$JS.API.STREAM.DELETE.AUDIT"}) {
    const auto before = manager.objections->size();
    ASSERT_TRUE(manager.bus->publish({subject}));
    EXPECT_TRUE(eventually([&] { return manager.objections->size() > before; })) << subject;
  }
  auto laxer = audit_stream();
  laxer.append_only = false;
  EXPECT_FALSE(ensure_stream(*manager.bus, laxer, 5s));
  EXPECT_EQ(stream_info(*manager.bus, "AUDIT", 5s)->messages, 1U);
}

TEST_F(streams_test, siem_subscribers_pull_at_their_own_pace) {
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(publish("mp.v1.audit.x", std::to_string(i)));
  for (const auto* name : {"splunk", "elastic"})
    ASSERT_TRUE(ensure_pull_consumer(*manager.bus, "AUDIT", name, 5s));
  auto splunk = d.user(a, role::siem, "splunk");
  auto elastic = d.user(a, role::siem, "elastic");

  const auto first = fetch(*splunk.bus, "AUDIT", "splunk", 3, 2s);
  ASSERT_TRUE(first) << to_string(first.error());
  ASSERT_EQ(first->size(), 3U);
  for (const auto& m : *first)
    ASSERT_TRUE(splunk.bus->publish(acknowledgement(m)));
  const auto rest = fetch(*splunk.bus, "AUDIT", "splunk", 10, 500ms);
  ASSERT_TRUE(rest);
  ASSERT_EQ(rest->size(), 2U);
  EXPECT_EQ(rest->front().data, "3");
  const auto all = fetch(*elastic.bus, "AUDIT", "elastic", 5, 2s);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 5U);
  EXPECT_EQ(splunk.objections->size() + elastic.objections->size(), 0U);
}

TEST_F(streams_test, a_siem_user_cannot_use_anothers_consumer) {
  ASSERT_TRUE(publish("mp.v1.audit.x", "1"));
  ASSERT_TRUE(ensure_pull_consumer(*manager.bus, "AUDIT", "splunk", 5s));
  auto elastic = d.user(a, role::siem, "elastic");
  const auto got = fetch(*elastic.bus, "AUDIT", "splunk", 1, 200ms);
  EXPECT_TRUE(!got || got->empty());
  EXPECT_TRUE(eventually([&] { return elastic.objections->size() == 1; }));
}

TEST(streams, answers_that_make_no_sense_are_corrupt) {
  for (const auto* text : {"", "[]", "{}", R"({"seq":"7"})", R"({"seq":-1})", "{\"seq\""})
    EXPECT_EQ(read_publish_reply({"s", text}).error().code, errc::corrupt) << text;
  for (const auto* text : {"", "{}", R"({"state":7})"})
    EXPECT_EQ(read_stream_reply({"s", text}).error().code, errc::corrupt) << text;
  EXPECT_EQ(read_direct_reply({"s", "data"}).error().code, errc::corrupt);
  EXPECT_EQ(read_publish_reply({"s", R"({"error":{"code":503,"description":7}})"}).error().code,
            errc::unavailable);
}

} // namespace
