// SPDX-License-Identifier: AGPL-3.0-only

// BUS-2: nothing of one cluster can be read or written from another, and no role does more than its
// row says. Every credential of cluster A against every documented subject, with the server's own
// enforcement as the only judge.

#include "actors/bus/jwt.hpp"
#include "actors/bus/streams.hpp"
#include "tests/support/bus_deployment.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace {

using namespace marchproxy;
using namespace marchproxy::bus;
using namespace marchproxy::testing;

constexpr cluster_id a{1};
constexpr cluster_id b{2};

/// Every subject family of the documentation, for the proxy of key @p k.
std::vector<std::string> families(const std::string& k) {
  return {"mp.v1.enroll." + k,
          "mp.v1.enroll.renew." + k,
          "mp.v1.config.announce",
          "mp.v1.config.phase",
          "mp.v1.cfg.all.active",
          "mp.v1.cfg.proxy." + k + ".active",
          "mp.v1.proxy." + k + ".ack",
          "mp.v1.proxy." + k + ".status",
          "mp.v1.cmd.proxy." + k + ".reload",
          "mp.v1.request.mapping.create",
          "mp.v1.event.mapping.created",
          "mp.v1.audit.change",
          "mp.v1.netflow.open",
          "mp.v1.verdict.web.deny",
          "_INBOX." + k + ".reply"};
}

class isolation_test : public ::testing::Test {
protected:
  isolation_test() {
    d.add_cluster(a, "cluster-a");
    d.add_cluster(b, "cluster-b");
    manager_b = d.user(b, role::manager);
    proxy_b = d.user(b, role::proxy);
    prepare(manager_b);
    for (const auto& rights : roles())
      users_a.emplace(rights.who, rights.who == role::join ? joiner() : d.user(a, rights.who));
    prepare(users_a.at(role::manager));
  }

  bus_user joiner() {
    bus_user made;
    const auto issued = d.trust.issue_join_key(a, wall_now());
    d.push(a);
    made.jwt = mint_join_jwt(issued->key, made.key.public_key(), wall_now());
    d.open(made);
    return made;
  }

  void prepare(bus_user& manager) {
    for (const auto& config : {config_stream(), audit_stream(), events_stream()})
      EXPECT_TRUE(ensure_stream(*manager.bus, config, 5s));
    EXPECT_TRUE(ensure_pull_consumer(*manager.bus, "AUDIT", "splunk", 5s));
    for (const auto* subject : {"mp.v1.cfg.all.active", "mp.v1.audit.change"})
      EXPECT_TRUE(publish_acked(*manager.bus, subject, "original", {}, 5s));
  }

  /// What JetStream holds, for comparison.
  std::map<std::string, std::uint64_t> holdings(bus_user& manager) {
    std::map<std::string, std::uint64_t> held;
    for (const auto* name : {"CFG", "AUDIT", "EVENTS"}) {
      const auto state = stream_info(*manager.bus, name, 5s);
      EXPECT_TRUE(state) << name;
      if (state)
        held[name] = state->last_sequence * 1000 + state->messages;
    }
    return held;
  }

  /// Whether the server refuses to take @p m from @p user. Expecting a refusal waits for it longer.
  bool refused(bus_user& user, message m, bool expected = true) {
    const auto before = user.objections->size();
    m.reply = user.bus->inbox() + ".matrix.reply";
    EXPECT_TRUE(user.bus->publish(m));
    EXPECT_TRUE(user.bus->flush(5s)); // the objection comes before the answer to this
    // It was read by then, but another thread reports it.
    return eventually([&] { return user.objections->size() > before; }, expected ? 5000ms : 100ms);
  }

  bus_deployment d;
  bus_user manager_b;
  bus_user proxy_b;
  std::map<role, bus_user> users_a;
};

TEST_F(isolation_test, nothing_published_in_a_arrives_in_b) {
  const auto seen = std::make_shared<inbox_of<message>>();
  ASSERT_TRUE(manager_b.bus->subscribe(">", [seen](message m) { (*seen)(std::move(m)); }));
  ASSERT_TRUE(manager_b.bus->flush(5s));
  const auto before = holdings(manager_b);

  for (auto& [who, user] : users_a) {
    for (const auto& key : {user.key.public_key(), proxy_b.key.public_key()})
      for (const auto& subject : families(key))
        ASSERT_TRUE(user.bus->publish({subject, "from a"}));
    ASSERT_TRUE(user.bus->flush(5s));
  }
  ASSERT_TRUE(manager_b.bus->publish({"fence", "fence"}));
  ASSERT_TRUE(eventually([&] {
    const auto all = seen->all();
    return std::any_of(all.begin(), all.end(), [](const auto& m) { return m.data == "fence"; });
  }));
  for (const auto& m : seen->all())
    EXPECT_NE(m.data, "from a") << m.subject;
  EXPECT_EQ(holdings(manager_b), before);
}

TEST_F(isolation_test, nothing_published_in_b_is_heard_in_a) {
  const auto heard = std::make_shared<inbox_of<message>>();
  auto wanted = families(proxy_b.key.public_key());
  wanted.insert(wanted.end(), {">", "mp.>", "mp.v1.>", "_INBOX.>", "$JS.>"});
  for (auto& [who, user] : users_a) {
    for (const auto& subject : wanted)
      ASSERT_TRUE(user.bus->subscribe(subject, [heard](message m) { (*heard)(std::move(m)); }));
    ASSERT_TRUE(user.bus->flush(5s));
  }
  for (auto* user : {&manager_b, &proxy_b}) {
    for (const auto& subject : families(proxy_b.key.public_key()))
      ASSERT_TRUE(user->bus->publish({subject, "from b"}));
    ASSERT_TRUE(user->bus->flush(5s));
  }
  for (auto& [who, user] : users_a)
    ASSERT_TRUE(user.bus->flush(5s));
  ASSERT_TRUE(users_a.at(role::manager).bus->publish({"mp.v1.event.fence", "fence"}));
  ASSERT_TRUE(eventually([&] {
    const auto all = heard->all();
    return std::any_of(all.begin(), all.end(), [](const auto& m) { return m.data == "fence"; });
  }));
  for (const auto& m : heard->all())
    EXPECT_NE(m.data, "from b") << m.subject;
}

TEST_F(isolation_test, no_signing_key_of_a_opens_b) {
  const auto* cluster_a = *d.trust.find(a);
  const auto* cluster_b = *d.trust.find(b);
  std::vector<nkey> issuers{cluster_a->account};
  for (const auto& [who, key] : cluster_a->signing_keys)
    issuers.push_back(key);
  for (const auto& issuer : issuers) {
    bus_user intruder;
    intruder.jwt =
      mint_jwt(issuer, {intruder.key.public_key(), "intruder", wall_now()},
               {{"type", "user"}, {"issuer_account", cluster_b->account.public_key()}});
    auto bus = connection::open(d.options(intruder));
    ASSERT_TRUE(bus);
    EXPECT_EQ((*bus)->wait_until_up(5s).error().code, errc::unauthenticated);
  }
}

/// JetStream administration, aimed at A itself, at B and at the server.
std::vector<std::string> administration(const std::string& own, const std::string& other) {
  return {"$JS.API.STREAM.CREATE.EVIL",
          "$JS.API.STREAM.UPDATE.CFG",
          "$JS.API.STREAM.DELETE.CFG",
          "$JS.API.STREAM.PURGE.CFG",
          "$JS.API.STREAM.DELETE.AUDIT",
          "$JS.API.STREAM.PURGE.AUDIT",
          "$JS.API.STREAM.MSG.DELETE.AUDIT",
          "$JS.API.STREAM.MSG.GET.AUDIT",
          "$JS.API.STREAM.SNAPSHOT.CFG",
          "$JS.API.STREAM.RESTORE.CFG",
          "$JS.API.STREAM.LEADER.STEPDOWN.CFG",
          "$JS.API.CONSUMER.CREATE.AUDIT",
          "$JS.API.CONSUMER.DURABLE.CREATE.AUDIT.evil",
          "$JS.API.CONSUMER.DELETE.AUDIT.splunk",
          "$JS.API.CONSUMER.MSG.NEXT.AUDIT.splunk",
          "$JS.API.ACCOUNT.PURGE." + own,
          "$JS.API.ACCOUNT.PURGE." + other,
          "$JS.API.ACCOUNT.STREAM.MOVE." + other + ".CFG",
          "$JS.API.ACCOUNT.STREAM.CANCEL_MOVE." + other + ".CFG",
          "$JS.API.SERVER.REMOVE",
          "$JS.API.SERVER.STREAM.MOVE.CFG",
          "$JS.API.META.LEADER.STEPDOWN",
          "$SYS.REQ.CLAIMS.UPDATE",
          "$SYS.REQ.ACCOUNT." + other + ".INFO"};
}

TEST_F(isolation_test, no_role_but_the_manager_administers_jetstream) {
  auto& manager_a = users_a.at(role::manager);
  const auto held_a = holdings(manager_a);
  const auto held_b = holdings(manager_b);
  const auto own = (*d.trust.find(a))->account.public_key();
  const auto other = (*d.trust.find(b))->account.public_key();
  for (auto& [who, user] : users_a) {
    if (who == role::manager)
      continue;
    for (const auto& subject : administration(own, other))
      EXPECT_TRUE(refused(user, {subject, "{}"})) << to_string(who) << " " << subject;
  }
  EXPECT_EQ(holdings(manager_a), held_a);
  EXPECT_EQ(holdings(manager_b), held_b);
}

TEST_F(isolation_test, a_manager_administers_its_own_cluster_and_nothing_past_it) {
  auto& manager_a = users_a.at(role::manager);
  const auto held_b = holdings(manager_b);
  const auto own = (*d.trust.find(a))->account.public_key();
  const auto other = (*d.trust.find(b))->account.public_key();
  for (const auto& subject : administration(own, other)) {
    const auto beyond =
      subject.starts_with("$JS.API.ACCOUNT.") || subject.starts_with("$JS.API.SERVER.")
      || subject.starts_with("$JS.API.META.") || subject == "$JS.API.STREAM.DELETE.AUDIT"
      || subject == "$JS.API.STREAM.PURGE.AUDIT";
    if (beyond) {
      EXPECT_TRUE(refused(manager_a, {subject, "{}"})) << subject;
    }
  }
  // Inside the account it may do what it likes, and B does not feel it.
  for (const auto* subject :
       {"$JS.API.STREAM.PURGE.CFG", "$JS.API.STREAM.DELETE.CFG", "$JS.API.STREAM.DELETE.EVENTS"})
    EXPECT_TRUE(manager_a.bus->request({subject}, 5s)) << subject;
  EXPECT_EQ(stream_info(*manager_a.bus, "CFG", 5s).error().code, errc::not_found);
  EXPECT_EQ(holdings(manager_b), held_b);
  // Claims are the system account's: nobody hears them here.
  EXPECT_EQ(
    manager_a.bus->request({"$SYS.REQ.CLAIMS.UPDATE", *d.trust.account_jwt(b, wall_now())}, 2s)
      .error()
      .code,
    errc::unavailable);
}

TEST_F(isolation_test, each_role_publishes_what_its_row_says_and_nothing_else) {
  for (auto& [who, user] : users_a) {
    const auto key = user.key.public_key();
    std::map<role, std::set<std::string>> allowed;
    allowed[role::join] = {"mp.v1.enroll." + key};
    allowed[role::proxy] = {"mp.v1.enroll.renew." + key, "mp.v1.proxy." + key + ".ack",
                            "mp.v1.proxy." + key + ".status", "mp.v1.verdict.web.deny"};
    allowed[role::automation] = {"mp.v1.request.mapping.create"};
    for (const auto& subject : families(key)) {
      const auto may = who == role::manager || allowed[who].contains(subject);
      EXPECT_EQ(refused(user, {subject, "x"}, !may), !may) << to_string(who) << " " << subject;
    }
  }
}

TEST_F(isolation_test, each_role_hears_what_its_row_says_and_nothing_else) {
  for (auto& entry : users_a) {
    const auto who = entry.first;
    auto& user = entry.second; // clang 14: no structured binding in a lambda
    const auto key = user.key.public_key();
    std::map<role, std::set<std::string>> allowed;
    allowed[role::join] = {"_INBOX." + key + ".reply"};
    allowed[role::siem] = {"mp.v1.verdict.web.deny", "_INBOX." + key + ".reply"};
    allowed[role::proxy] = {"mp.v1.config.announce", "mp.v1.config.phase",
                            "mp.v1.cmd.proxy." + key + ".reload", "_INBOX." + key + ".reply"};
    allowed[role::automation] = {"mp.v1.event.mapping.created", "_INBOX." + key + ".reply"};
    for (const auto& subject : families(key)) {
      const auto may = who == role::manager || allowed[who].contains(subject);
      const auto before = user.objections->size();
      const auto id = user.bus->subscribe(subject, [](message) {});
      ASSERT_TRUE(id);
      ASSERT_TRUE(user.bus->flush(5s));
      const auto objected =
        eventually([&] { return user.objections->size() > before; }, may ? 100ms : 5000ms);
      EXPECT_EQ(objected, !may) << to_string(who) << " " << subject;
      user.bus->unsubscribe(*id);
    }
  }
}

TEST_F(isolation_test, a_proxy_reads_its_own_configuration_and_that_of_all_and_no_others) {
  auto& manager = users_a.at(role::manager);
  auto& proxy = users_a.at(role::proxy);
  const auto own = "mp.v1.cfg.proxy." + proxy.key.public_key() + ".active";
  const auto other = "mp.v1.cfg.proxy." + nkey::generate(nkey_kind::user).public_key() + ".active";
  for (const auto& subject : {own, other})
    ASSERT_TRUE(publish_acked(*manager.bus, subject, "secret", {}, 5s));
  EXPECT_TRUE(direct_get_last(*proxy.bus, "CFG", own, 5s));
  EXPECT_TRUE(direct_get_last(*proxy.bus, "CFG", "mp.v1.cfg.all.active", 5s));
  EXPECT_FALSE(direct_get_last(*proxy.bus, "CFG", other, 300ms));
  EXPECT_TRUE(refused(proxy, direct_get_request("CFG", other)));
  EXPECT_TRUE(refused(proxy, {"$JS.API.DIRECT.GET.CFG", R"({"last_by_subj":")" + other + R"("})"}));
  EXPECT_TRUE(refused(proxy, {"$JS.API.DIRECT.GET.AUDIT.mp.v1.audit.change"}));
}

TEST_F(isolation_test, a_proxy_speaks_in_no_other_proxys_name) {
  auto& proxy = users_a.at(role::proxy);
  const auto other = nkey::generate(nkey_kind::user).public_key();
  for (const auto& subject : families(other)) {
    const auto anybodys = subject.starts_with("mp.v1.verdict.");
    EXPECT_EQ(refused(proxy, {subject, "x"}, !anybodys), !anybodys) << subject;
  }
}

TEST_F(isolation_test, a_proxy_answers_a_command_where_the_command_says) {
  auto& manager = users_a.at(role::manager);
  auto& proxy = users_a.at(role::proxy);
  const auto subject = "mp.v1.cmd.proxy." + proxy.key.public_key() + ".status";
  ASSERT_TRUE(proxy.bus->subscribe(subject, [bus = proxy.bus.get()](const message& m) {
    EXPECT_TRUE(bus->publish({m.reply, "fine"}));
  }));
  ASSERT_TRUE(proxy.bus->flush(5s));
  const auto reply = manager.bus->request({subject, "?"}, 5s);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->data, "fine");
}

TEST_F(isolation_test, managers_share_an_account_that_no_cluster_reaches) {
  std::vector<bus_user> managers(2);
  const auto pushed = push_account(*d.system.bus, d.trust.management_account_jwt(wall_now()), 5s);
  ASSERT_TRUE(pushed) << to_string(pushed.error());
  for (auto& m : managers) {
    m.jwt = d.trust.mint_management_user(m.key.public_key(), wall_now());
    d.open(m);
  }
  const auto heard = std::make_shared<inbox_of<message>>();
  ASSERT_TRUE(managers[0].bus->subscribe(">", [heard](message m) { (*heard)(std::move(m)); }));
  ASSERT_TRUE(managers[0].bus->flush(5s));
  auto& manager_a = users_a.at(role::manager);
  ASSERT_TRUE(manager_a.bus->publish({"mp.v1.event.x", "from a"}));
  ASSERT_TRUE(manager_a.bus->flush(5s));
  ASSERT_TRUE(managers[1].bus->publish({"mp.v1.event.x", "from the other manager"}));
  ASSERT_TRUE(eventually([&] { return heard->size() == 1; }));
  EXPECT_EQ(heard->all()[0].data, "from the other manager");
}

} // namespace
