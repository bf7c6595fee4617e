// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/storage/store.hpp"
#include "tests/support/postgres.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <ostream>
#include <string>

namespace marchproxy::storage {

/// For the names that gtest prints.
inline void PrintTo(dialect kind, std::ostream* out) {
  *out << (kind == dialect::sqlite ? "sqlite" : "postgres");
}

} // namespace marchproxy::storage

namespace marchproxy::test {

/// A test on each database. Its file or database is its own and new.
class on_each_database : public ::testing::TestWithParam<storage::dialect> {
protected:
  void SetUp() override {
    if (GetParam() == storage::dialect::postgres) {
      url_ = postgres_server::shared().new_database();
      return;
    }
    directory_ = (std::filesystem::temp_directory_path() / "mp-sqlite-XXXXXX").string();
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    url_ = "sqlite:" + directory_ + "/test.db";
  }
  void TearDown() override {
    if (!directory_.empty())
      std::filesystem::remove_all(directory_);
  }
  [[nodiscard]] const std::string& url() const { return url_; }

private:
  std::string directory_;
  std::string url_;
};

inline std::string name_of_database(const ::testing::TestParamInfo<storage::dialect>& info) {
  return info.param == storage::dialect::sqlite ? "sqlite" : "postgres";
}

/// A time that tests can read: microseconds after 2026-11-24T00:00:00Z.
inline time_point at(std::int64_t microseconds) {
  return time_point{std::chrono::microseconds{1'795'478'400'000'000 + microseconds}};
}

} // namespace marchproxy::test

#define MP_ON_EACH_DATABASE(suite)                                                                 \
  INSTANTIATE_TEST_SUITE_P(databases, suite,                                                       \
                           ::testing::Values(::marchproxy::storage::dialect::sqlite,               \
                                             ::marchproxy::storage::dialect::postgres),            \
                           ::marchproxy::test::name_of_database)
