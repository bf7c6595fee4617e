// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/manager/settings.hpp"

#include <gtest/gtest.h>

namespace marchproxy::manager_node {
namespace {

TEST(settings, an_empty_environment_means_sqlite_and_a_private_bus) {
  auto s = read_settings({});
  ASSERT_TRUE(s);
  EXPECT_EQ(s->listen_port, 8000);
  EXPECT_TRUE(s->nats_urls.empty());
  EXPECT_EQ(s->database_url, "sqlite:/var/lib/marchproxy/manager/marchproxy.db");
}

TEST(settings, lists_and_ports_are_read) {
  auto s = read_settings({{"NATS_URL", "nats://a:4222,nats://b:4222"}, {"LISTEN_PORT", "0"}});
  ASSERT_TRUE(s);
  EXPECT_EQ(s->nats_urls.size(), 2u);
  EXPECT_EQ(s->listen_port, 0);
}

TEST(settings, every_wrong_variable_is_named) {
  auto s = read_settings({{"LISTEN_PORT", "70000"},
                          {"LISTEN_ADDRESS", "here"},
                          {"DB_TYPE", "oracle"},
                          {"LOG_LEVEL", "loud"},
                          {"ADMIN_PASSWORD", "admin"},
                          {"RELEASE_MODE", "true"}});
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().fields.size(), 6u);
}

TEST(settings, postgres_needs_its_url) {
  EXPECT_FALSE(read_settings({{"DB_TYPE", "postgres"}}));
  EXPECT_TRUE(read_settings({{"DB_TYPE", "postgres"}, {"DATABASE_URL", "postgresql://h/db"}}));
}

} // namespace
} // namespace marchproxy::manager_node
