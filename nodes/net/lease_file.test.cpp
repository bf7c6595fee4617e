// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/lease_file.hpp"

#include "actors/base/durable_file.hpp"
#include "actors/crypto/digest.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <mutex>

namespace marchproxy::net {
namespace {

using namespace std::chrono_literals;

const std::string head = "marchproxy leases 1\n";

std::string sealed(const std::string& body) {
  return body + "sha256 " + crypto::sha256_hex(body) + "\n";
}

std::string problem_of(const std::string& text) {
  auto read = read_leases(text);
  return read ? "none" : read.error().message;
}

TEST(lease_file_format, is_read_as_it_is_written) {
  std::vector<named_lease> leases(2);
  leases[0] = {"www.example.org",
               {{*parse_ip("192.0.2.1"), *parse_ip("2001:db8::1")},
                {},
                *parse_time("2026-11-30T12:00:00.000001Z")}};
  leases[1] = {"a_b.test", {{*parse_ip("10.0.0.1")}, {}, *parse_time("2026-11-30T12:00:01Z")}};
  const auto text = write_leases(leases);
  EXPECT_EQ(text, sealed(head
                         + "www.example.org 2026-11-30T12:00:00.000001Z 192.0.2.1,2001:db8::1\n"
                           "a_b.test 2026-11-30T12:00:01.000000Z 10.0.0.1\n"));
  auto read = read_leases(text);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ((*read)[0].name, "www.example.org");
  EXPECT_EQ((*read)[0].what, leases[0].what);
  EXPECT_EQ((*read)[1].what, leases[1].what);
  EXPECT_TRUE(read_leases(write_leases({})));
}

TEST(lease_file_format, every_field_is_checked) {
  const std::string good = "a.test 2026-11-30T12:00:00Z 192.0.2.1\n";
  EXPECT_EQ(problem_of(sealed(head + good)), "none");
  EXPECT_EQ(problem_of(""), "line 1: not a file of leases");
  EXPECT_EQ(problem_of(head + good), "line 1: no checksum");
  auto flipped = sealed(head + good);
  flipped[flipped.find("192") + 2] = '3';
  EXPECT_EQ(problem_of(flipped), "line 1: the checksum does not hold");
  EXPECT_EQ(problem_of(sealed(head + good) + "x"), "line 1: the checksum does not hold");
  EXPECT_EQ(problem_of(sealed(head + "a.test 2026-11-30T12:00:00Z\n")),
            "line 2: a lease is a name, its end and its addresses");
  for (const auto* name : {"A.test", "127.1", "192.0.2.1", "a..test", "", "a.test."})
    EXPECT_EQ(problem_of(sealed(head + name + " 2026-11-30T12:00:00Z 192.0.2.1\n")),
              "line 2: no host name in lower case")
      << name;
  EXPECT_EQ(problem_of(sealed(head + "a.test tomorrow 192.0.2.1\n")), "line 2: no time");
  std::string many = "192.0.2.1";
  for (int i = 0; i < 64; ++i)
    many += ",192.0.2.1";
  for (const auto& addresses : {std::string{}, std::string{"192.0.2.1,"}, std::string{"192.0.2"},
                                std::string{"192.0.2.1 192.0.2.2"}, many})
    EXPECT_EQ(problem_of(sealed(head + "a.test 2026-11-30T12:00:00Z " + addresses + "\n")),
              "line 2: not 1 to 64 addresses")
      << addresses;
  EXPECT_EQ(problem_of(sealed(head + good + good)), "line 3: a name that stands above");
}

class kept_leases : public ::testing::Test {
protected:
  [[nodiscard]] std::unique_ptr<lease_file> keep(const std::shared_ptr<lease_store>& store) {
    return std::make_unique<lease_file>(
      store, path,
      [this](const std::string& what) {
        std::lock_guard lock{mutex};
        problems.push_back(what);
      },
      1ms);
  }
  static lease one(std::chrono::seconds left) {
    return {{*parse_ip("192.0.2.1")}, clock::now() + left, wall_now() + left};
  }
  [[nodiscard]] bool eventually_stored(const std::string& name) const {
    const auto deadline = clock::now() + 10s;
    while (clock::now() < deadline) {
      if (auto text = read_file(path); text && text->find('\n' + name + ' ') != std::string::npos)
        return true;
      std::this_thread::yield();
    }
    return false;
  }

  marchproxy::testing::temporary_directory place;
  std::filesystem::path path = place.path() / "leases";
  std::mutex mutex;
  std::vector<std::string> problems;
};

TEST_F(kept_leases, survive_a_restart) {
  const auto lasting = one(60s);
  {
    auto store = std::make_shared<lease_store>(lease_terms{});
    auto file = keep(store);
    store->put("a.test", lasting);
    store->put("over.test", one(-1s));
  }
  auto store = std::make_shared<lease_store>(lease_terms{});
  auto file = keep(store);
  auto again = store->find("a.test", clock::now());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->ends, lasting.ends);
  EXPECT_LE(again->until, lasting.until + 10ms);
  EXPECT_EQ(store->count(clock::now()), 1U);
  EXPECT_TRUE(problems.empty());
}

TEST_F(kept_leases, survive_a_crash_once_they_are_written) {
  auto store = std::make_shared<lease_store>(lease_terms{});
  auto file = keep(store);
  store->put("a.test", one(60s));
  EXPECT_TRUE(eventually_stored("a.test"));
  store->put("b.test", one(60s));
  EXPECT_TRUE(eventually_stored("b.test"));
}

TEST_F(kept_leases, are_another_process_s_once_it_was_let_go) {
  auto store = std::make_shared<lease_store>(lease_terms{});
  auto file = keep(store);
  file->let_go();
  store->put("a.test", one(60s));
  file.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(kept_leases, a_damaged_file_is_told_and_not_used) {
  ASSERT_TRUE(replace_file(path, head + "a.test 2999-11-30T12:00:00Z 192.0.2.1\n"));
  auto store = std::make_shared<lease_store>(lease_terms{});
  auto file = keep(store);
  EXPECT_EQ(store->count(clock::now()), 0U);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].find("no checksum"), std::string::npos) << problems[0];
}

TEST_F(kept_leases, that_cannot_be_written_are_told_once) {
  path = "/nowhere/leases";
  auto store = std::make_shared<lease_store>(lease_terms{});
  auto file = keep(store);
  store->put("a.test", one(60s));
  auto told = [&] {
    std::lock_guard lock{mutex};
    return problems.size();
  };
  const auto deadline = clock::now() + 10s;
  while (told() == 0 && clock::now() < deadline)
    std::this_thread::yield();
  store->put("b.test", one(60s));
  file.reset(); // writes what has changed
  ASSERT_EQ(told(), 1U);
  EXPECT_NE(problems[0].find("/nowhere/leases"), std::string::npos) << problems[0];
}

} // namespace
} // namespace marchproxy::net
