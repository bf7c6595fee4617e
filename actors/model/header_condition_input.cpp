// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/http_rules.hpp"
#include "actors/model/input_parts.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::model {

namespace {

constexpr std::size_t most_text = 255;

/// `present` and `absent`: true, where they are given.
bool read_true(field_reader& in, std::string_view field) {
  const auto given = in.take({field});
  if (given && *given.value != true)
    in.refuse(given.path, "must be true, or not there");
  return static_cast<bool>(given);
}

header_condition read_condition(field_reader& in) {
  header_condition out;
  out.name = lower_case(in.text({"name"}, {.required = true}));
  if (!out.name.empty() && !is_condition_header(out.name))
    in.refuse(in.path("name"), "is no header that a route may have conditions on");
  int tests = 0;
  for (const auto test : {header_test::value, header_test::prefix}) {
    const auto given = in.take({to_string(test)});
    if (!given)
      continue;
    const auto* text = given.value->get_ptr<const std::string*>();
    if (text == nullptr || text->size() > most_text || !is_header_value(*text))
      in.refuse(given.path, "must be a text of at most 255 bytes: visible ASCII and spaces within");
    else
      out.text = *text;
    out.test = test;
    ++tests;
  }
  for (const auto test : {header_test::present, header_test::absent})
    if (read_true(in, to_string(test))) {
      out.test = test;
      ++tests;
    }
  if (tests != 1)
    in.refuse(in.path("name"), "must have one of value, prefix, present and absent beside it");
  return out;
}

} // namespace

std::vector<header_condition> read_header_conditions(field_reader& in) {
  std::vector<header_condition> out;
  const auto given = in.take({"headers"});
  if (!given)
    return out;
  if (!given.value->is_array() || given.value->size() > most_header_conditions) {
    in.refuse(given.path, "must be a list of at most 8 objects of name and one of value, prefix, "
                          "present and absent");
    return out;
  }
  for (std::size_t i = 0; i < given.value->size(); ++i) {
    field_reader fields{(*given.value)[i], given.path + "[" + std::to_string(i) + "]."};
    out.push_back(read_condition(fields));
    if (const auto e = fields.finish())
      in.absorb(*e);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

} // namespace marchproxy::model
