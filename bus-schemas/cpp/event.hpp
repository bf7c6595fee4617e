// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <string>
#include <string_view>

namespace marchproxy::bus_schemas {

/// JSON that is passed through as text: well-formed, not validated any further. Writers must put
/// JSON in.
struct raw_json {
  std::string text = "null";

  bool operator==(const raw_json&) const = default;
};

/// Messages larger than this are refused before they are parsed: what a NATS server passes on by
/// default.
constexpr std::size_t max_message_bytes = 1U << 20U;

template <class Data>
struct event;

/// Parses and validates one message body.
/// @errors invalid_argument whose first field is the path of what is wrong
/// (`tier.declined[2].name`); too_large
template <class Message>
[[nodiscard]] result<Message> decode(std::string_view json);

/// Parses envelope and body in one pass. Field paths of the body start with `data.`.
/// @errors as decode(), and invalid_argument for `type` when it is another message
template <class Message>
[[nodiscard]] result<event<Message>> decode_event(std::string_view json);

} // namespace marchproxy::bus_schemas
