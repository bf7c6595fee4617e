// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// What the decoders of a ruleset's parts share. Not a door of the room.

#include "actors/model/model.hpp"
#include "actors/model/text_rules.hpp"

#include <simdjson.h>

#include <limits>
#include <string>
#include <utility>

namespace marchproxy::model::decoding {

namespace sj = simdjson::ondemand;

/// Ends a decode; never leaves the decoder.
struct malformed {
  std::string why;
};

[[noreturn]] inline void refuse(std::string why) {
  throw malformed{std::move(why)};
}

inline void require(bool holds, const char* why) {
  if (!holds)
    refuse(why);
}

template <class T>
T must(simdjson::simdjson_result<T> value) {
  T out;
  if (const auto e = std::move(value).get(out))
    refuse(simdjson::error_message(e));
  return out;
}

inline std::uint64_t number(sj::value value,
                            std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
  const auto out = must(value.get_uint64());
  require(out <= most, "a number is out of range");
  return out;
}

inline std::string text(sj::value value, std::size_t most = 2000) {
  const auto out = must(value.get_string());
  require(out.size() <= most, "a text is too long");
  return std::string{out};
}

inline std::string prose(sj::value value) {
  auto out = text(value);
  if (const auto fault = text_fault(out))
    refuse("a text " + std::string{*fault});
  return out;
}

template <class T>
T word(sj::value value, std::initializer_list<T> of) {
  const auto given = must(value.get_string());
  for (const auto one : of)
    if (to_string(one) == given)
      return one;
  refuse("an unknown word");
}

inline bool flag(sj::value value) {
  return must(value.get_bool());
}

template <class Read>
void each_field(sj::value value, Read read) {
  auto object = must(value.get_object());
  for (auto field : object) {
    auto pair = must(std::move(field));
    const auto key = must(pair.unescaped_key());
    if (!read(key, pair.value()))
      refuse("unknown field `" + printable(key) + "`");
  }
}

template <class Read>
void each_element(sj::value value, Read read) {
  auto array = must(value.get_array());
  for (auto element : array)
    read(must(std::move(element)));
}

/// @throws malformed
[[nodiscard]] ingress_route decode_ingress_route(sj::value value, cluster_id cluster);
/// @throws malformed
[[nodiscard]] limits decode_limits(sj::value value);

} // namespace marchproxy::model::decoding
