// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/cli/table.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <array>

namespace marchproxy::cli {
namespace {

using nlohmann::json;

TEST(table, columns_are_as_wide_as_they_need) {
  const json rows = {{{"id", 1}, {"name", "a long name"}}, {{"id", 1234}, {"name", "\xc3\xbc"}}};
  constexpr std::array<std::string_view, 4> columns{"id", "name", "port", ""};
  EXPECT_EQ(table(rows, columns), "ID    NAME         PORT\n"
                                  "1     a long name  -\n"
                                  "1234  \xc3\xbc            -\n");
}

TEST(table, selectors_and_roles_are_short) {
  EXPECT_EQ(cell(json::parse(
              R"([{"type":"service","id":7},{"type":"collection","name":"db"},{"type":"all"}])")),
            "#7,collection:db,all");
  EXPECT_EQ(
    cell(json::parse(
      R"([{"role":"service_owner","cluster_id":2},{"role":"administrator","cluster_id":null}])")),
    "service_owner@2,administrator");
}

TEST(table, nothing_in_an_answer_drives_the_terminal) {
  EXPECT_EQ(cell("a\x1b[31mb\nc"), "a\\x1b[31mb\\x0ac");
}

TEST(table, objects_are_shown_field_by_field) {
  const auto value = json::parse(
    R"({"name":"web","health":{"path":"/up"},"steps":[{"a":1,"b":2},{"a":3}],"none":null})");
  EXPECT_EQ(fields(value), "health:\n  path: /up\nname: web\nnone: -\n"
                           "steps:\n  - a: 1\n    b: 2\n  - a: 3\n");
}

} // namespace
} // namespace marchproxy::cli
