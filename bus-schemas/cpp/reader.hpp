// SPDX-License-Identifier: AGPL-3.0-only
// For the generated decoders only; pulls in simdjson, so no header of ours includes it.
#pragma once

#include "actors/base/error.hpp"
#include "bus-schemas/cpp/event.hpp"

#include <simdjson.h>

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace marchproxy::bus_schemas::detail {

using element = simdjson::dom::element;

/// Where the value at hand stands in the message. Made of views on the stack: text is built only to
/// complain.
struct path {
  static constexpr std::size_t no_index = static_cast<std::size_t>(-1);

  const path* parent = nullptr;
  std::string_view key = {};
  std::size_t index = no_index;

  [[nodiscard]] std::string text() const;
};

/// `^prefix[class]{low,high}$`
struct pattern {
  std::string_view prefix;
  std::array<std::uint64_t, 4> allowed; ///< bit per byte value
  std::size_t low;
  std::size_t high;
};

[[nodiscard]] error bad(const path& at, std::string message);
[[nodiscard]] result<void> first_time(std::uint64_t& seen, unsigned bit, const path& at);
[[nodiscard]] result<void>
require(std::uint64_t seen, unsigned bit, std::string_view key, const path& parent);

[[nodiscard]] result<bool> read_boolean(element value, const path& at);
[[nodiscard]] result<std::uint64_t>
read_unsigned(element value, const path& at, std::uint64_t low, std::uint64_t high);
[[nodiscard]] result<std::int64_t>
read_signed(element value, const path& at, std::int64_t low, std::int64_t high);
/// Lengths count code points, as JSON Schema does.
[[nodiscard]] result<std::string>
read_text(element value, const path& at, std::size_t low, std::size_t high);
[[nodiscard]] result<std::string> read_pattern(element value, const path& at, const pattern& which);
/// RFC 3339 with any offset and any number of digits, without leap seconds; kept as sent.
[[nodiscard]] result<std::string> read_date_time(element value, const path& at);
[[nodiscard]] result<void> read_const(element value, const path& at, std::string_view wanted);
[[nodiscard]] result<std::size_t>
read_choice(element value, const path& at, std::span<const std::string_view> names);
[[nodiscard]] result<raw_json> read_any(element value);
[[nodiscard]] result<raw_json> read_object_text(element value, const path& at);
/// Parses with a parser that the thread keeps. @errors invalid_argument for `` (the whole),
/// too_large
[[nodiscard]] result<element> parse(std::string_view json);

template <class Enum>
[[nodiscard]] result<Enum>
read_enum(element value, const path& at, std::span<const std::string_view> names) {
  return read_choice(value, at, names).map([](std::size_t which) {
    return static_cast<Enum>(which);
  });
}

template <class Item, class Read>
[[nodiscard]] result<std::vector<Item>>
read_array(element value, const path& at, std::size_t low, std::size_t high, Read read) {
  simdjson::dom::array array;
  if (value.get(array) != simdjson::SUCCESS)
    return tl::unexpected(bad(at, "must be an array"));
  std::vector<Item> out;
  for (const element item : array) {
    if (out.size() == high)
      return tl::unexpected(bad(at, "must have at most " + std::to_string(high) + " items"));
    auto one = read(item, path{&at, {}, out.size()});
    if (!one)
      return tl::unexpected(std::move(one).error());
    out.push_back(*std::move(one));
  }
  if (out.size() < low)
    return tl::unexpected(bad(at, "must have at least " + std::to_string(low) + " items"));
  return out;
}

template <class Item, class Read>
[[nodiscard]] result<std::map<std::string, Item>>
read_map(element value, const path& at, Read read) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS)
    return tl::unexpected(bad(at, "must be an object"));
  std::map<std::string, Item> out;
  for (const auto field : object) {
    const path here{&at, field.key};
    auto one = read(field.value, here);
    if (!one)
      return tl::unexpected(std::move(one).error());
    if (!out.emplace(field.key, *std::move(one)).second)
      return tl::unexpected(bad(here, "appears twice"));
  }
  return out;
}

template <class Message, class Read>
[[nodiscard]] result<Message> parse_with(std::string_view json, Read read) {
  return parse(json).and_then(read);
}

template <class Message, class ReadHead, class ReadData>
[[nodiscard]] result<event<Message>>
read_event(element root, ReadHead read_head, ReadData read_data) {
  const path top{};
  auto head = read_head(root, top);
  if (!head)
    return tl::unexpected(std::move(head).error());
  if (head->type != Message::event_type) {
    const path at{&top, "type"};
    return tl::unexpected(bad(at, "must be " + std::string(Message::event_type)));
  }
  const path at{&top, "data"};
  auto data = read_data(root["data"].value_unsafe(), at);
  if (!data)
    return tl::unexpected(std::move(data).error());
  head->data.text.clear();
  return event<Message>{*std::move(head), *std::move(data)};
}

} // namespace marchproxy::bus_schemas::detail
