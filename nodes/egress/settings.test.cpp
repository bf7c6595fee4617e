// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/settings.hpp"

#include "actors/bus/cluster_key.hpp"
#include "actors/bus/nkey.hpp"

#include <gtest/gtest.h>

namespace marchproxy::egress {
namespace {

std::string a_key() {
  auto account = bus::nkey::generate(bus::nkey_kind::account);
  return std::string{
    bus::to_text(bus::generate_cluster_api_key("dc1", account.public_key())).expose()};
}

TEST(settings, a_cluster_key_is_all_it_needs) {
  auto s = read_settings({{"CLUSTER_API_KEY", a_key()}}, false);
  ASSERT_TRUE(s) << to_string(s.error());
  EXPECT_EQ(s->listen_port, 8080);
  EXPECT_EQ(s->admin_port, 8081);
  EXPECT_EQ(s->ebpf, wish::automatic);
  EXPECT_FALSE(s->name.empty());
}

TEST(settings, without_a_key_it_says_what_is_missing) {
  auto s = read_settings({}, false);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().fields.at(0).field, "CLUSTER_API_KEY");
  EXPECT_TRUE(read_settings({}, true));
}

TEST(settings, every_wrong_variable_is_named) {
  auto s = read_settings({{"CLUSTER_API_KEY", "nonsense"},
                          {"LISTEN_PORT", "x"},
                          {"ADMIN_ADDRESS", "y"},
                          {"ENABLE_EBPF", "yes"},
                          {"ENABLE_XDP", "1"},
                          {"XDP_MODE", "fast"},
                          {"EBPF_CONNECTIONS", "0"},
                          {"EBPF_FORWARDING", "fast"},
                          {"EBPF_CONNECTIONS_PER_SOURCE", "16777217"},
                          {"TRANSPARENT_MODE", "magic"},
                          {"PROXY_PROTOCOL_FROM", "10.0.0.0/8,lb1"},
                          {"ECH", "inner"},
                          {"PAC_PORT", "70000"},
                          {"PAC_PROXY", "PROXY proxy.test"},
                          {"FORWARDED", "maybe"},
                          {"UDP_PORT", "-1"},
                          {"UDP_IDLE_SECONDS", "0"},
                          {"UDP_MAX_SESSIONS", "0"},
                          {"UDP_MAX_SESSIONS_PER_SOURCE", "many"},
                          {"UDP_OFFLOAD", "on"},
                          {"LOG_LEVEL", "loud"}},
                         false);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().fields.size(), 21u);
}

TEST(settings, the_transparent_port_is_off_by_default_and_cannot_be_the_proxy_s) {
  EXPECT_EQ(read_settings({{"CLUSTER_API_KEY", a_key()}}, false)->transparent_port, 0);
  auto s = read_settings(
    {{"CLUSTER_API_KEY", a_key()}, {"TRANSPARENT_PORT", "8083"}, {"TRANSPARENT_MODE", "tproxy"}},
    false);
  ASSERT_TRUE(s) << to_string(s.error());
  EXPECT_EQ(s->transparent_port, 8083);
  EXPECT_TRUE(s->tproxy);
  auto same = read_settings({{"CLUSTER_API_KEY", a_key()}, {"TRANSPARENT_PORT", "8080"}}, false);
  ASSERT_FALSE(same);
  EXPECT_EQ(same.error().fields.at(0).field, "TRANSPARENT_PORT");
}

TEST(settings, udp_has_a_port_where_the_earlier_proxies_had_it) {
  auto read = [](const char* listen, const char* udp) {
    auto s = read_settings(
      {{"CLUSTER_API_KEY", a_key()}, {"LISTEN_PORT", listen}, {"UDP_PORT", udp}}, false);
    EXPECT_TRUE(s);
    return s ? s->udp_port : 1;
  };
  EXPECT_EQ(read("", ""), 9080);
  EXPECT_EQ(read("3128", ""), 4128);
  EXPECT_EQ(read("3128", "53"), 53);
  EXPECT_EQ(read("", "0"), 0);
  EXPECT_EQ(read("0", ""), 0) << "any free port is nobody's to add to";
  EXPECT_EQ(read("65000", ""), 0);
}

TEST(settings, pac_files_name_proxies_that_clients_can_read) {
  auto read = [](const char* proxies, const char* port = "8083") {
    return read_settings({{"CLUSTER_API_KEY", a_key()}, {"PAC_PORT", port}, {"PAC_PROXY", proxies}},
                         false);
  };
  EXPECT_EQ(read_settings({{"CLUSTER_API_KEY", a_key()}}, false)->pac_port, 0);
  for (const auto* good :
       {"DIRECT", "PROXY a.test:8080", "PROXY a.test:1;SOCKS5 [2001:db8::1]:2 ; DIRECT"})
    EXPECT_EQ(read(good)->pac_proxies, good);
  for (const auto* bad : {"PROXY", "PROXY a.test", "proxy a.test:1", "PROXY a.test:1,DIRECT",
                          "a.test:1", "PROXY a.test:1\"; alert(1); \"", "PROXY a.test:1;;DIRECT"}) {
    auto refused = read(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().fields.at(0).field, "PAC_PROXY");
  }
  auto taken = read("DIRECT", "8080");
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().fields.at(0).field, "PAC_PORT");
}

TEST(settings, verdicts_are_told_unless_it_is_said_otherwise) {
  auto read = [](const char* which, const char* rate) {
    return read_settings(
      {{"CLUSTER_API_KEY", a_key()}, {"VERDICT_STREAM", which}, {"VERDICT_RATE", rate}}, false);
  };
  auto by_default = read_settings({{"CLUSTER_API_KEY", a_key()}}, false);
  EXPECT_EQ(by_default->verdict_stream, serving::told_verdicts::all);
  EXPECT_EQ(by_default->verdict_rate, 1000U);
  EXPECT_EQ(read("deny", "7")->verdict_stream, serving::told_verdicts::deny);
  EXPECT_EQ(read("deny", "7")->verdict_rate, 7U);
  EXPECT_EQ(read("off", "7")->verdict_stream, serving::told_verdicts::none);
  auto wrong = read("some", "0");
  ASSERT_FALSE(wrong);
  ASSERT_EQ(wrong.error().fields.size(), 2U);
  EXPECT_EQ(wrong.error().fields[0].field, "VERDICT_STREAM");
  EXPECT_EQ(wrong.error().fields[1].field, "VERDICT_RATE");
}

TEST(settings, the_relay_waits_by_epoll_unless_it_is_said_otherwise) {
  EXPECT_EQ(read_settings({{"CLUSTER_API_KEY", a_key()}}, false)->io, relay::io_choice::epoll);
  auto read = [](const char* by) {
    return read_settings({{"CLUSTER_API_KEY", a_key()}, {"IO_BACKEND", by}}, false);
  };
  EXPECT_EQ(read("auto")->io, relay::io_choice::automatic);
  EXPECT_EQ(read("io_uring")->io, relay::io_choice::io_uring);
  auto wrong = read("select");
  ASSERT_FALSE(wrong);
  ASSERT_EQ(wrong.error().fields.size(), 1U);
  EXPECT_EQ(wrong.error().fields[0].field, "IO_BACKEND");
  EXPECT_EQ(wrong.error().fields[0].message, "must be epoll, auto or io_uring");
}

TEST(settings, an_encrypted_server_name_is_refused_unless_it_is_said_otherwise) {
  using relay::ech_policy;
  EXPECT_EQ(read_settings({{"CLUSTER_API_KEY", a_key()}}, false)->ech, ech_policy::deny);
  for (const auto& [value, meant] :
       {std::pair{"deny", ech_policy::deny}, {"outer", ech_policy::outer}}) {
    auto s = read_settings({{"CLUSTER_API_KEY", a_key()}, {"ECH", value}}, false);
    ASSERT_TRUE(s) << to_string(s.error());
    EXPECT_EQ(s->ech, meant);
  }
}

TEST(settings, who_strips_ech_has_to_be_asked_for_names) {
  auto read = [](const char* port) {
    return read_settings(
      {{"CLUSTER_API_KEY", a_key()}, {"ECH", "strip"}, {"DNS_LISTEN_PORT", port}}, false);
  };
  auto s = read("53");
  ASSERT_TRUE(s) << to_string(s.error());
  EXPECT_EQ(s->ech, relay::ech_policy::strip);
  EXPECT_EQ(s->dns_listen_port, 53);
  for (const auto& [port, field] : {std::pair{"0", "ECH"},
                                    {"8080", "DNS_LISTEN_PORT"},
                                    {"9080", "DNS_LISTEN_PORT"},
                                    {"x", "DNS_LISTEN_PORT"}}) {
    auto refused = read(port);
    ASSERT_FALSE(refused) << port;
    EXPECT_EQ(refused.error().fields.at(0).field, field);
  }
}

TEST(settings, who_the_client_is_stays_here_unless_it_is_asked_for) {
  EXPECT_EQ(read_settings({{"CLUSTER_API_KEY", a_key()}}, false)->forwarded,
            relay::client_fields::off);
  for (const auto& [word, meant] :
       {std::pair{"x-forwarded-for", relay::client_fields::x_forwarded_for},
        std::pair{"forwarded", relay::client_fields::forwarded},
        std::pair{"both", relay::client_fields::both}}) {
    auto s = read_settings({{"CLUSTER_API_KEY", a_key()}, {"FORWARDED", word}}, false);
    ASSERT_TRUE(s) << to_string(s.error());
    EXPECT_EQ(s->forwarded, meant);
  }
}

TEST(settings, what_name_servers_said_is_kept_for_as_long_as_they_said) {
  auto s = read_settings({{"CLUSTER_API_KEY", a_key()}}, false);
  EXPECT_EQ(s->leases.shortest.count(), 0);
  EXPECT_EQ(s->leases.longest.count(), 3600);
  EXPECT_EQ(s->leases.without_address.count(), 5);
  EXPECT_EQ(s->leases.stale.count(), 0);
  EXPECT_EQ(s->leases.most_names, 10'000U);
  s = read_settings({{"CLUSTER_API_KEY", a_key()},
                     {"DNS_TTL_MIN", "5"},
                     {"DNS_TTL_MAX", "60"},
                     {"DNS_NEGATIVE_TTL", "1"},
                     {"DNS_STALE_SECONDS", "300"},
                     {"DNS_CACHE_ENTRIES", "7"}},
                    false);
  ASSERT_TRUE(s) << to_string(s.error());
  EXPECT_EQ(s->leases.shortest.count(), 5);
  EXPECT_EQ(s->leases.longest.count(), 60);
  EXPECT_EQ(s->leases.without_address.count(), 1);
  EXPECT_EQ(s->leases.stale.count(), 300);
  EXPECT_EQ(s->leases.most_names, 7U);
  s = read_settings({{"CLUSTER_API_KEY", a_key()},
                     {"DNS_TTL_MIN", "60"},
                     {"DNS_TTL_MAX", "5"},
                     {"DNS_NEGATIVE_TTL", "-1"},
                     {"DNS_STALE_SECONDS", "1h"},
                     {"DNS_CACHE_ENTRIES", "1000000"}},
                    false);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().fields.size(), 4U);
}

TEST(settings, packets_pass_the_kernel_s_own_rules_unless_it_is_said_otherwise) {
  EXPECT_FALSE(read_settings({{"CLUSTER_API_KEY", a_key()}}, false)->forwards);
  auto direct = read_settings({{"CLUSTER_API_KEY", a_key()}, {"EBPF_FORWARDING", "direct"}}, false);
  ASSERT_TRUE(direct) << to_string(direct.error());
  EXPECT_TRUE(direct->forwards);
}

TEST(settings, xdp_stands_on_the_tc_program) {
  EXPECT_EQ(read_settings({{"CLUSTER_API_KEY", a_key()}}, false)->xdp, wish::automatic);
  auto read = [](const char* ebpf, const char* mode) {
    return read_settings({{"CLUSTER_API_KEY", a_key()},
                          {"ENABLE_XDP", "true"},
                          {"ENABLE_EBPF", ebpf},
                          {"XDP_MODE", mode}},
                         false);
  };
  EXPECT_EQ(read("auto", "generic")->xdp_by, xdp_choice::generic);
  EXPECT_EQ(read("true", "native")->xdp_by, xdp_choice::native);
  auto alone = read("false", "auto");
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().fields.at(0).field, "ENABLE_XDP");
}

TEST(settings, lists_are_read) {
  auto s = read_settings({{"CLUSTER_API_KEY", a_key()},
                          {"EBPF_INTERFACES", "a0,b0"},
                          {"PROXY_PROTOCOL_FROM", "10.0.0.0/8,2001:db8::1"},
                          {"NATS_URL", "nats://h:1"}},
                         false);
  ASSERT_TRUE(s);
  EXPECT_EQ(s->proxy_protocol_from,
            (std::vector{*parse_prefix("10.0.0.0/8"), *parse_prefix("2001:db8::1/128")}));
  EXPECT_EQ(s->ebpf_interfaces, (std::vector<std::string>{"a0", "b0"}));
  EXPECT_EQ(s->nats_urls, std::vector<std::string>{"nats://h:1"});
}

} // namespace
} // namespace marchproxy::egress
