// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/pac/files.hpp"

#include <gtest/gtest.h>

namespace marchproxy::pac {

namespace {

/// A policy in which only 10.0.0.0/8 may bypass, and only to intra.test.
std::shared_ptr<const policy::program> policy_of(std::uint64_t number) {
  auto rules = std::make_shared<model::ruleset>();
  rules->cluster = cluster_id{1};
  rules->revision = revision{number};
  model::service office;
  office.id = service_id{1};
  office.address = *parse_prefix("10.0.0.0/8");
  model::service intra;
  intra.id = service_id{2};
  intra.address = model::dns_name{"intra.test", false};
  rules->services = {office, intra};
  model::mapping m;
  m.id = mapping_id{1};
  m.action = model::mapping_action::bypass;
  m.sources = {service_id{1}};
  m.destinations = {service_id{2}};
  rules->mappings = {m};
  auto made = policy::program::compile(rules);
  EXPECT_TRUE(made);
  return *made;
}

http::request get(std::string path, std::string peer, std::string host = "proxy.test:8083") {
  http::request out;
  out.method = "GET";
  out.path = std::move(path);
  out.peer = std::move(peer);
  out.headers = {{"host", std::move(host)}};
  return out;
}

TEST(pac_files, gives_each_client_its_own) {
  files all{{{}, 8080}, [p = policy_of(3)] { return p; }};
  auto in = all.answer(get("/proxy.pac", "10.1.2.3"));
  auto out = all.answer(get("/wpad.dat", "192.0.2.1"));
  ASSERT_EQ(in.status, 200);
  ASSERT_EQ(out.status, 200);
  EXPECT_EQ(http::find(in.headers, "content-type"), "application/x-ns-proxy-autoconfig");
  EXPECT_NE(in.body.find("intra.test"), std::string::npos);
  EXPECT_EQ(out.body.find("intra.test"), std::string::npos);
  EXPECT_EQ(all.answer(get("/proxy.pac", "10.99.0.1")).body, in.body)
    << "the policy sees no difference";
}

TEST(pac_files, name_the_host_that_was_asked_unless_told_otherwise) {
  auto current = [p = policy_of(1)] { return p; };
  files by_host{{{}, 8080}, current};
  auto said = [](const http::response& r, std::string_view what) {
    return r.body.find(what) != std::string::npos;
  };
  EXPECT_TRUE(said(by_host.answer(get("/proxy.pac", "10.0.0.1")), "\"PROXY proxy.test:8080\""));
  EXPECT_TRUE(
    said(by_host.answer(get("/proxy.pac", "10.0.0.1", "10.0.0.9")), "\"PROXY 10.0.0.9:8080\""));
  EXPECT_TRUE(said(by_host.answer(get("/proxy.pac", "10.0.0.1", "[2001:db8::1]:1")),
                   "\"PROXY [2001:db8::1]:8080\""));
  EXPECT_EQ(by_host.answer(get("/proxy.pac", "10.0.0.1", "\";alert(1);\"")).status, 400);
  files named{{"PROXY a.test:1; PROXY b.test:2", 8080}, current};
  EXPECT_TRUE(
    said(named.answer(get("/proxy.pac", "10.0.0.1", "")), "\"PROXY a.test:1; PROXY b.test:2\""));
}

TEST(pac_files, follow_revisions) {
  std::shared_ptr<const policy::program> now;
  files all{{{}, 8080}, [&] { return now; }};
  EXPECT_EQ(all.answer(get("/proxy.pac", "10.0.0.1")).status, 503);
  now = policy_of(1);
  EXPECT_NE(all.answer(get("/proxy.pac", "10.0.0.1")).body.find("revision 1."), std::string::npos);
  now = policy_of(2);
  EXPECT_NE(all.answer(get("/proxy.pac", "10.0.0.1")).body.find("revision 2."), std::string::npos);
}

TEST(pac_files, are_all_there_is) {
  files all{{{}, 8080}, [p = policy_of(1)] { return p; }};
  EXPECT_EQ(all.answer(get("/", "10.0.0.1")).status, 404);
  auto post = get("/proxy.pac", "10.0.0.1");
  post.method = "POST";
  auto refused = all.answer(post);
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(http::find(refused.headers, "allow"), "GET, HEAD");
}

} // namespace

} // namespace marchproxy::pac
