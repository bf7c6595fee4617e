// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/contracts/events.hpp"

#include <gtest/gtest.h>

namespace marchproxy::contracts {
namespace {

const rollout::announcement sample{
  marchproxy::revision{9}, std::string(64, 'a'), std::string(64, 'b'), 300000, 2,
  std::string(128, 'c')};

TEST(events, an_announcement_comes_through_the_prepare_event_unchanged) {
  auto text =
    make_event(manager_source("dc1"), to_prepare("dc1", sample, time_point{}), time_point{});
  auto read = bus_schemas::decode_event<bus_schemas::config_prepare>(text);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(announcement_of(read->data), sample);
  EXPECT_EQ(read->head.source, "/clusters/dc1/manager");
}

TEST(events, an_announcement_comes_through_the_decision_record_unchanged) {
  auto text =
    make_event(manager_source("dc1"), to_active("dc1", sample, time_point{}), time_point{});
  auto read = bus_schemas::decode_event<bus_schemas::config_active>(text);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(announcement_of(read->data), sample);
}

TEST(events, ids_differ) {
  bus_schemas::config_commit m{1, std::string(64, 'a')};
  EXPECT_NE(make_event("/clusters/a/manager", m, time_point{}),
            make_event("/clusters/a/manager", m, time_point{}));
}

} // namespace
} // namespace marchproxy::contracts
