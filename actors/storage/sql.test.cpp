// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/sql.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/storage/migrate.hpp"
#include "actors/storage/pool.hpp"
#include "tests/support/database_fixture.hpp"

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <atomic>
#include <limits>
#include <thread>

namespace marchproxy::storage {

namespace {

class sql : public test::on_each_database {
protected:
  std::unique_ptr<connection> open() {
    auto out = connect(url());
    EXPECT_TRUE(out) << (out ? "" : to_string(out.error()));
    return out ? std::move(*out) : nullptr;
  }
};
MP_ON_EACH_DATABASE(sql);

TEST_P(sql, values_of_each_type_come_back_as_they_were) {
  const auto db = open();
  ASSERT_TRUE(
    db->exec_script(GetParam() == dialect::sqlite
                      ? "CREATE TABLE t (i BIGINT, d DOUBLE PRECISION, s TEXT, b BLOB)"
                      : "CREATE TABLE t (i BIGINT, d DOUBLE PRECISION, s TEXT, b BYTEA)"));
  std::string bytes(256, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(i);
  const auto least = std::numeric_limits<std::int64_t>::min();
  const auto insert = [&](value i, value d, value s, value b) {
    return db->exec("INSERT INTO t (i, d, s, b) VALUES ($1, $2, $3, $4)", {i, d, s, b});
  };
  ASSERT_TRUE(insert(least, 0.1, "it's; -- \xF0\x9F\x8E\xAA", blob{bytes}));
  ASSERT_TRUE(insert({}, {}, "", blob{}));
  const auto back = db->exec("SELECT i, d, s, b FROM t ORDER BY i NULLS LAST");
  ASSERT_TRUE(back) << to_string(back.error());
  ASSERT_EQ(back->list.size(), 2U);
  EXPECT_EQ(back->list[0].integer(0), least);
  EXPECT_EQ(back->list[0].real(1), 0.1);
  EXPECT_EQ(back->list[0].text(2), "it's; -- \xF0\x9F\x8E\xAA");
  EXPECT_EQ(back->list[0].bytes(3), bytes);
  EXPECT_TRUE(back->list[1].null(0));
  EXPECT_TRUE(back->list[1].null(1));
  EXPECT_FALSE(back->list[1].null(2));
  EXPECT_EQ(back->list[1].bytes(3), "");
}

TEST_P(sql, text_with_a_zero_byte_is_refused_by_both) {
  const auto db = open();
  const auto refused = db->exec("SELECT CAST($1 AS TEXT)", {std::string("a\0b", 3)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::invalid_argument);
}

TEST_P(sql, a_transaction_that_is_not_committed_leaves_nothing) {
  const auto db = open();
  ASSERT_TRUE(db->exec_script("CREATE TABLE t (i BIGINT PRIMARY KEY)"));
  {
    auto tx = transaction::begin(*db, access::write);
    ASSERT_TRUE(tx);
    ASSERT_TRUE(tx->exec("INSERT INTO t (i) VALUES ($1)", {1}));
  }
  {
    auto tx = transaction::begin(*db, access::write);
    ASSERT_TRUE(tx);
    ASSERT_TRUE(tx->exec("INSERT INTO t (i) VALUES ($1)", {2}));
    ASSERT_TRUE(tx->commit());
  }
  const auto left = db->exec("SELECT i FROM t");
  ASSERT_EQ(left->list.size(), 1U);
  EXPECT_EQ(left->front().integer(0), 2);
}

TEST_P(sql, a_broken_constraint_is_a_conflict_and_the_session_goes_on) {
  const auto db = open();
  ASSERT_TRUE(db->exec_script("CREATE TABLE t (i BIGINT PRIMARY KEY)"));
  ASSERT_TRUE(db->exec("INSERT INTO t (i) VALUES ($1)", {1}));
  const auto twice = db->exec("INSERT INTO t (i) VALUES ($1)", {1});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, errc::conflict);
  EXPECT_TRUE(db->exec("SELECT i FROM t"));
}

TEST_P(sql, migrating_twice_changes_nothing_the_second_time) {
  const auto db = open();
  const auto known = migrations(GetParam());
  EXPECT_EQ(migrate(*db, known).value(), static_cast<int>(known.size()));
  EXPECT_EQ(migrate(*db, known).value(), 0);
}

TEST_P(sql, what_was_written_before_has_what_is_usual_of_fields_that_came_later) {
  const auto db = open();
  const auto known = migrations(GetParam());
  ASSERT_EQ(migrate(*db, known.first(2)).value(), 2);
  ASSERT_TRUE(db->exec_script(
    "INSERT INTO clusters (name, max_proxies, body, created_at, updated_at) VALUES ('a', 0, '{}', "
    "0, 0);"
    "INSERT INTO services (cluster_id, name, collection, active, body, created_at, updated_at) "
    "VALUES (1, 's', '', 1, '{\"name\": \"s\", \"ports\": \"80\"}', 0, 0);"
    "INSERT INTO mappings (cluster_id, name, active, body, created_at, updated_at) "
    "VALUES (1, 'm', 1, '{\"name\": \"m\"}', 0, 0);"));
  ASSERT_TRUE(migrate(*db, known));
  const auto service = db->exec("SELECT body FROM services");
  EXPECT_EQ(nlohmann::json::parse(service->front().text(0)),
            nlohmann::json::parse(R"({"name": "s", "ports": "80", "limits": null})"));
  const auto mapping = db->exec("SELECT body FROM mappings");
  EXPECT_EQ(nlohmann::json::parse(mapping->front().text(0)),
            nlohmann::json::parse(R"({"name": "m", "limits": null, "observe": false,
                                      "when_revoked": "cut", "drain_seconds": 30})"));
  const auto cluster = db->exec("SELECT body FROM clusters");
  EXPECT_EQ(nlohmann::json::parse(cluster->front().text(0)),
            nlohmann::json::parse(R"({"observe": false})"));
}

TEST_P(sql, routes_from_before_header_conditions_keep_ids_services_and_places) {
  const auto db = open();
  const auto known = migrations(GetParam());
  ASSERT_EQ(migrate(*db, known.first(3)).value(), 3);
  const std::string route =
    "INSERT INTO ingress_routes (cluster_id, name, protocol, listen_port, host, path, path_match, "
    "active, body, created_at, updated_at) VALUES (1, '";
  const auto rest = "', 'http', 80, '', '/', 'prefix', 1, '{}', 0, 0);";
  ASSERT_TRUE(db->exec_script(
    "INSERT INTO clusters (name, max_proxies, body, created_at, updated_at) VALUES ('a', 0, '{}', "
    "0, 0);"
    "INSERT INTO services (cluster_id, name, collection, active, body, created_at, updated_at) "
    "VALUES (1, 's', '', 1, '{}', 0, 0);"
    + route + "gone" + rest + "DELETE FROM ingress_routes;" + route + "kept" + rest
    + "INSERT INTO ingress_route_services (route_id, service_id) VALUES (2, 1);" + route + "last', "
    + "'tcp', 81, '', '/', 'prefix', 1, '{}', 0, 0); DELETE FROM ingress_routes WHERE id = 3;"));
  ASSERT_TRUE(migrate(*db, known));
  const auto refers = [&] {
    return db->exec("SELECT r.id, r.conditions FROM ingress_routes r "
                    "JOIN ingress_route_services s ON s.route_id = r.id");
  };
  const auto kept = refers();
  ASSERT_TRUE(kept) << to_string(kept.error());
  ASSERT_EQ(kept->list.size(), 1U);
  EXPECT_EQ(kept->front().number(0), 2U);
  EXPECT_EQ(kept->front().text(1), "");
  EXPECT_EQ(db->exec("DELETE FROM services").error().code, errc::conflict);
  EXPECT_EQ(db->exec_script(route + "second" + rest).error().code, errc::conflict)
    << "the place is taken";
  const auto more =
    db->exec("INSERT INTO ingress_routes (cluster_id, name, protocol, listen_port, host, path, "
             "path_match, conditions, active, body, created_at, updated_at) "
             "VALUES (1, 'more', 'http', 80, '', '/', 'prefix', 'abc', 1, '{}', 0, 0) "
             "RETURNING id");
  ASSERT_TRUE(more) << to_string(more.error());
  EXPECT_GE(more->front().number(0), 4U) << "an id that was given is not given again";
  ASSERT_TRUE(db->exec("DELETE FROM ingress_routes WHERE id = 2"));
  EXPECT_TRUE(refers()->empty()) << "its services went with it";
}

TEST_P(sql, managers_that_migrate_at_once_migrate_once) {
  std::atomic<int> applied{0};
  std::atomic<int> failed{0};
  {
    std::vector<std::jthread> managers;
    for (int i = 0; i < 4; ++i) {
      managers.emplace_back([&] {
        auto db = connect(url());
        const auto count = db ? migrate(**db, migrations(GetParam())) : fail(errc::internal, "");
        if (count)
          applied += *count;
        else
          ++failed;
      });
    }
  }
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(applied, static_cast<int>(migrations(GetParam()).size()));
}

TEST_P(sql, a_database_newer_than_the_binary_is_refused_untouched) {
  const auto db = open();
  constexpr migration newer[] = {{1, "one", "CREATE TABLE a (i BIGINT)"},
                                 {2, "two", "CREATE TABLE b (i BIGINT)"}};
  ASSERT_TRUE(migrate(*db, newer));
  const auto refused = migrate(*db, std::span(newer).first(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::unsupported);
}

TEST_P(sql, a_migration_that_was_altered_after_it_ran_is_noticed) {
  const auto db = open();
  constexpr migration first[] = {{1, "one", "CREATE TABLE a (i BIGINT)"}};
  constexpr migration altered[] = {{1, "one", "CREATE TABLE a (i BIGINT, j BIGINT)"}};
  ASSERT_TRUE(migrate(*db, first));
  const auto refused = migrate(*db, altered);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::corrupt);
}

TEST_P(sql, a_migration_that_fails_half_way_leaves_nothing) {
  const auto db = open();
  constexpr migration bad[] = {{1, "one", "CREATE TABLE a (i BIGINT); CREATE TABLE a (i BIGINT)"}};
  EXPECT_FALSE(migrate(*db, bad));
  EXPECT_TRUE(db->exec_script("CREATE TABLE a (i BIGINT)"));
}

TEST_P(sql, transient_faults_are_retried_and_others_are_not) {
  auto connections = pool::open(url(), {.first_pause = std::chrono::milliseconds{1}});
  ASSERT_TRUE(connections);
  int calls = 0;
  const auto third = (*connections)->with_retries([&](connection&, int attempt) -> result<int> {
    ++calls;
    if (attempt < 2)
      return fail(errc::unavailable, "busy");
    return attempt;
  });
  EXPECT_EQ(third, 2);
  EXPECT_EQ(calls, 3);
  calls = 0;
  const auto final = (*connections)->with_retries([&](connection&, int) -> result<int> {
    ++calls;
    return fail(errc::conflict, "no");
  });
  EXPECT_FALSE(final);
  EXPECT_EQ(calls, 1);
}

TEST_P(sql, more_callers_than_connections_wait_for_their_turn) {
  auto connections = pool::open(url(), {.connections = 2});
  ASSERT_TRUE(connections);
  std::atomic<int> served{0};
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 12; ++i) {
      callers.emplace_back([&] {
        for (int k = 0; k < 20; ++k)
          served +=
            (*connections)->with_retries([](connection& c, int) { return c.exec("SELECT 1"); }) ? 1
                                                                                                : 0;
      });
    }
  }
  EXPECT_EQ(served, 240);
}

TEST_P(sql, a_pool_that_is_used_up_says_so_after_its_patience) {
  auto connections =
    pool::open(url(), {.connections = 1, .patience = std::chrono::milliseconds{20}});
  ASSERT_TRUE(connections);
  const auto held = (*connections)->acquire();
  ASSERT_TRUE(held);
  const auto none = (*connections)->acquire();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, errc::unavailable);
}

TEST(postgres, a_connection_that_the_server_ends_is_replaced) {
  auto& server = test::postgres_server::shared();
  const auto url = server.new_database();
  auto connections = pool::open(url, {.connections = 1});
  ASSERT_TRUE(connections);
  const auto backend = [&] {
    return (*connections)->with_retries([](connection& c, int) {
      return c.exec("SELECT pg_backend_pid()");
    });
  };
  const auto first = backend();
  ASSERT_TRUE(first);
  auto other = connect(url);
  ASSERT_TRUE(other);
  ASSERT_TRUE((*other)->exec("SELECT pg_terminate_backend(CAST($1 AS INTEGER))",
                             {first->front().integer(0)}));
  const auto second = backend();
  ASSERT_TRUE(second) << to_string(second.error());
  EXPECT_NE(first->front().integer(0), second->front().integer(0));
}

TEST(sqlite, its_file_is_for_its_owner_only) {
  std::string directory = (std::filesystem::temp_directory_path() / "mp-mode-XXXXXX").string();
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const auto path = directory + "/a.db";
  auto db = connect("sqlite:" + path);
  ASSERT_TRUE(db);
  ASSERT_TRUE((*db)->exec_script("CREATE TABLE t (i BIGINT)"));
  for (const auto* suffix : {"", "-wal"}) {
    struct stat info {};
    ASSERT_EQ(stat((path + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777U, 0600U) << suffix;
  }
  std::filesystem::remove_all(directory);
}

TEST(database_url, names_its_database_and_is_never_repeated) {
  EXPECT_EQ(dialect_of("sqlite:/var/lib/mp.db"), dialect::sqlite);
  EXPECT_EQ(dialect_of("sqlite::memory:"), dialect::sqlite);
  EXPECT_EQ(dialect_of("postgres://a@b/c"), dialect::postgres);
  for (const auto* bad : {"", "sqlite:", "mysql://u:hunter2@h/d", "postgresql"}) {
    const auto refused = dialect_of(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(to_string(refused.error()).find("hunter2"), std::string::npos);
  }
}

} // namespace

} // namespace marchproxy::storage
