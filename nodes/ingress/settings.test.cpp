// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/ingress/settings.hpp"

#include "actors/bus/cluster_key.hpp"
#include "actors/bus/nkey.hpp"

#include <gtest/gtest.h>

namespace marchproxy::ingress {
namespace {

TEST(settings, have_their_own_defaults) {
  auto account = bus::nkey::generate(bus::nkey_kind::account);
  auto key =
    std::string{bus::to_text(bus::generate_cluster_api_key("dc1", account.public_key())).expose()};
  auto s = read_settings({{"CLUSTER_API_KEY", key}}, false);
  ASSERT_TRUE(s) << to_string(s.error());
  EXPECT_EQ(s->admin_port, 8082);
  EXPECT_EQ(s->state_directory, "/var/lib/marchproxy/ingress");
  EXPECT_EQ(s->forwarded, relay::client_fields::x_forwarded_for);
  EXPECT_EQ(read_settings({{"CLUSTER_API_KEY", key}, {"FORWARDED", "off"}}, false)->forwarded,
            relay::client_fields::off);
}

TEST(settings, name_each_wrong_variable) {
  auto s = read_settings({{"ADMIN_PORT", "x"}, {"FORWARDED", "maybe"}}, false);
  ASSERT_FALSE(s);
  ASSERT_EQ(s.error().fields.size(), 3U);
  EXPECT_EQ(s.error().fields[0].field, "CLUSTER_API_KEY");
  EXPECT_EQ(s.error().fields[1].field, "FORWARDED");
  EXPECT_EQ(s.error().fields[2].field, "ADMIN_PORT");
}

TEST(settings, of_tls_are_paths_and_client_authorities_need_certificates) {
  auto s = read_settings(
    {{"TLS_CERT_DIR", "/c"}, {"TLS_CLIENT_CA_FILE", "/ca"}, {"TLS_UPSTREAM_CA_FILE", "/up"}}, true);
  ASSERT_TRUE(s) << to_string(s.error());
  EXPECT_EQ(s->certificates, "/c");
  EXPECT_EQ(s->client_authorities, "/ca");
  EXPECT_EQ(s->upstream_authorities, "/up");
  EXPECT_TRUE(s->kernel_tls);
  EXPECT_FALSE(read_settings({{"KERNEL_TLS", "false"}}, true)->kernel_tls);
  s = read_settings({{"KERNEL_TLS", "maybe"}}, true);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().fields.at(0).field, "KERNEL_TLS");
  s = read_settings({{"TLS_CLIENT_CA_FILE", "/ca"}}, true);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().fields.at(0).field, "TLS_CLIENT_CA_FILE");
}

} // namespace
} // namespace marchproxy::ingress
