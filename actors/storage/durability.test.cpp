// SPDX-License-Identifier: AGPL-3.0-only
// What is acknowledged is there, once, with its audit record and its messages; whatever happens
// meanwhile.
#include "actors/storage/store.hpp"
#include "tests/support/lossy_socket.hpp"
#include "tests/support/store_fixture.hpp"

#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <set>
#include <thread>

namespace marchproxy::storage {

namespace {

class durable_store : public test::on_each_store {
protected:
  std::vector<outbox_row> everything_waiting() {
    std::vector<outbox_row> out;
    for (;;) {
      const auto part = store_->unsent(1000);
      if (!part || part->empty())
        return out;
      std::vector<std::uint64_t> ids;
      for (const auto& one : *part)
        ids.push_back(one.id);
      EXPECT_TRUE(store_->mark_sent(ids, test::at(1)));
      out.insert(out.end(), part->begin(), part->end());
    }
  }
  /// The revisions that messages of @p subject name, in outbox order, in this cluster.
  std::vector<std::uint64_t> revisions_in(const std::vector<outbox_row>& rows,
                                          std::string_view subject) {
    std::vector<std::uint64_t> out;
    for (const auto& one : rows) {
      if (one.cluster == cluster_ && one.subject == subject)
        out.push_back(nlohmann::json::parse(one.payload).value("revision", std::uint64_t{0}));
    }
    return out;
  }
};
MP_ON_EACH_DATABASE(durable_store);

std::vector<std::uint64_t> from_one_to(std::uint64_t last) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t i = 1; i <= last; ++i)
    out.push_back(i);
  return out;
}

TEST_P(durable_store, writers_at_once_make_revisions_without_gap_or_duplicate) {
  // Two managers with two threads each.
  auto second = store::open(url(), key_);
  ASSERT_TRUE(second);
  std::mutex guard;
  std::vector<std::uint64_t> given;
  {
    std::vector<std::jthread> writers;
    for (int w = 0; w < 4; ++w) {
      writers.emplace_back([&, w] {
        auto& mine = w % 2 == 0 ? *store_ : **second;
        for (int i = 0; i < 50; ++i) {
          const auto made =
            mine.create_service(by(), service("s" + std::to_string(w) + "-" + std::to_string(i)));
          ASSERT_TRUE(made) << to_string(made.error());
          const std::lock_guard lock(guard);
          given.push_back(made->revision.value);
        }
      });
    }
  }
  std::sort(given.begin(), given.end());
  EXPECT_EQ(given, from_one_to(200));
  const auto report = verify("eu-1");
  EXPECT_TRUE(report.ok()) << report.broken->reason;
  EXPECT_EQ(report.records, 200U);
  const auto waiting = everything_waiting();
  EXPECT_EQ(revisions_in(waiting, "mp.v1.event.revision.created"), from_one_to(200));
  EXPECT_EQ(revisions_in(waiting, "mp.v1.audit.record"), from_one_to(200));
  EXPECT_EQ(revisions_in(waiting, "mp.v1.event.service.changed"), from_one_to(200));
  EXPECT_TRUE(store_->unsent(10)->empty());
  EXPECT_EQ(store_->ruleset_of(cluster_)->services.size(), 200U);
}

TEST_P(durable_store, a_writer_killed_at_any_moment_loses_nothing_acknowledged) {
  std::uint64_t messages = 0;
  for (const std::size_t acknowledged : {1U, 7U, 23U}) {
    int channel[2];
    ASSERT_EQ(pipe(channel), 0);
    store_.reset();
    const auto prefix = "k" + std::to_string(acknowledged) + "-";
    const pid_t child = fork();
    if (child == 0) {
      close(channel[0]);
      auto mine = store::open(url(), key_);
      for (int i = 0; mine && i < 100'000; ++i) {
        const auto made = (*mine)->create_service(by(), service(prefix + std::to_string(i)));
        if (!made || write(channel[1], &made->id, sizeof made->id) != sizeof made->id)
          break;
      }
      _exit(1);
    }
    close(channel[1]);
    std::vector<std::uint64_t> ids;
    std::uint64_t id = 0;
    while (ids.size() < acknowledged && read(channel[0], &id, sizeof id) == sizeof id)
      ids.push_back(id);
    kill(child, SIGKILL);
    while (read(channel[0], &id, sizeof id) == sizeof id)
      ids.push_back(id);
    close(channel[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer gave up by itself";
    reopen();
    for (const auto one : ids)
      EXPECT_TRUE(store_->service(cluster_, service_id{one})) << one;
    const auto report = verify("eu-1");
    EXPECT_TRUE(report.ok()) << report.broken->reason;
    const auto last = (*store_->latest(cluster_))->number.value;
    EXPECT_EQ(report.records, last) << "each change has its record, each record its change";
    EXPECT_EQ(store_->ruleset_of(cluster_)->services.size(), last);
    for (const auto& one : everything_waiting())
      messages += one.subject == "mp.v1.audit.record" && one.cluster == cluster_ ? 1U : 0U;
    EXPECT_EQ(messages, last);
  }
}

TEST_P(durable_store, the_outbox_hands_over_each_message_until_it_is_marked) {
  add_service("web");
  const auto first = store_->unsent(1000);
  ASSERT_TRUE(first);
  EXPECT_EQ(store_->unsent(1000)->size(), first->size()) << "reading takes nothing away";
  const std::uint64_t head[] = {first->front().id};
  ASSERT_TRUE(store_->mark_sent(head, test::at(5)));
  EXPECT_EQ(store_->unsent(1000)->size(), first->size() - 1);
  EXPECT_EQ(store_->unsent(1)->front().id, first->at(1).id);
  EXPECT_EQ(store_->purge(test::at(0), test::at(6)), 1U);
}

TEST_P(durable_store, the_audit_table_can_be_appended_to_only) {
  add_service("web");
  const auto raw = connect(url());
  EXPECT_FALSE((*raw)->exec("UPDATE audit SET record = 'x'"));
  EXPECT_FALSE((*raw)->exec("DELETE FROM audit"));
  EXPECT_TRUE(verify("eu-1").ok());
}

TEST_P(durable_store, events_that_change_nothing_are_in_the_same_chain) {
  add_service("web");
  const auto made = store_->append_audit(by(3), cluster_,
                                         {.action = "explain.run",
                                          .resource_type = "cluster",
                                          .resource_id = "1",
                                          .resource_name = "eu-1",
                                          .after = R"({"password":"hunter2","flow":"tcp"})"});
  ASSERT_TRUE(made) << to_string(made.error());
  EXPECT_EQ(made->sequence, 2U);
  EXPECT_EQ(made->revision.value, 0U);
  const auto rows = store_->audit("eu-1", 2, 10);
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->at(0).record.find("hunter2"), std::string::npos);
  ASSERT_TRUE(store_->append_audit(by(), {},
                                   {.action = "session.login",
                                    .resource_type = "user",
                                    .resource_id = "7",
                                    .resource_name = "alice"}));
  EXPECT_TRUE(verify("eu-1").ok());
  EXPECT_EQ(verify(audit::installation_ledger).records, 2U) << "the cluster's creation, and this";
  EXPECT_EQ(store_->ledgers()->size(), 2U);
  EXPECT_FALSE(store_->append_audit(
    by(), cluster_,
    {.action = "x", .resource_type = "", .resource_id = "", .resource_name = "", .after = "{"}));
}

TEST(lost_answers, a_commit_whose_answer_is_lost_is_neither_lost_nor_made_twice) {
  auto& server = test::postgres_server::shared();
  const auto direct = server.new_database();
  test::lossy_socket between(server.socket());
  const auto key = crypto::sealing_key::generate();
  auto mine = store::open(server.by_way_of(between.directory(), direct), key, {.connections = 1});
  ASSERT_TRUE(mine) << to_string(mine.error());
  model::cluster value;
  value.name = "eu-1";
  const auto in = cluster_id{(*mine)->create_cluster({}, value)->id};
  for (int i = 0; i < 10; ++i) {
    model::service one;
    one.cluster = in;
    one.name = "s" + std::to_string(i);
    one.address = ip_prefix{};
    between.lose_next_commit(i % 2 == 0 ? test::lossy_socket::loss::answer
                                        : test::lossy_socket::loss::request);
    const auto made = (*mine)->create_service({}, one);
    ASSERT_TRUE(made) << to_string(made.error());
    EXPECT_EQ(made->revision.value, static_cast<std::uint64_t>(i + 1));
    EXPECT_EQ((*mine)->service(in, service_id{made->id})->value.name, one.name);
  }
  EXPECT_EQ(between.lost(), 10);
  EXPECT_EQ((*mine)->audit_head_of("eu-1")->sequence, 10U);
  EXPECT_EQ((*mine)->ruleset_of(in)->services.size(), 10U);
}

} // namespace

} // namespace marchproxy::storage
