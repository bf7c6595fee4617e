// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/connection.hpp"
#include "actors/bus/message.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::bus {

// JetStream by its `$JS.API` requests: a function builds the request and another reads the reply,
// so that actors go through their gateway; the functions with a connection do both and block
// (tools, tests, start-up).

/// A stream's settings as JetStream names them.
struct stream_config {
  std::string name;
  std::string subjects;
  std::int64_t max_messages_per_subject = -1; ///< the oldest go
  std::int64_t max_bytes = -1;                ///< the oldest go
  std::chrono::nanoseconds max_age{0};        ///< 0 keeps them
  bool direct_get = false;                    ///< $JS.API.DIRECT.GET answers
  bool append_only = false;                   ///< no deletion, no purge
  std::chrono::nanoseconds duplicate_window = std::chrono::minutes{2}; ///< Nats-Msg-Id
};

/// CFG: the newest message of each subject, read directly by proxies.
[[nodiscard]] stream_config config_stream();
/// AUDIT: append-only; a repeated message id within the window is stored once.
[[nodiscard]] stream_config audit_stream();
/// EVENTS: the latest 64 MiB or week of events, for automation that was away for a while.
[[nodiscard]] stream_config events_stream();

[[nodiscard]] message create_stream_request(const stream_config& config);
[[nodiscard]] message update_stream_request(const stream_config& config);
[[nodiscard]] message stream_info_request(std::string_view stream);

struct stream_state {
  std::uint64_t messages = 0;
  std::uint64_t first_sequence = 0;
  std::uint64_t last_sequence = 0;
};
/// The reply to any of the three. @errors not_found; conflict if the stream exists with other
/// settings (update it); unavailable, refused or corrupt otherwise
[[nodiscard]] result<stream_state> read_stream_reply(const message& reply);

/// What makes a publish conditional or repeatable.
struct publish_terms {
  std::string id = {}; ///< Nats-Msg-Id: the same id again within the stream's window is stored once
  /// The sequence the subject's newest message must have (0: the subject must be empty).
  std::optional<std::uint64_t> expected_subject_sequence = std::nullopt;
};
[[nodiscard]] message
publish_request(std::string subject, std::string data, const publish_terms& terms);

struct publish_receipt {
  std::uint64_t sequence = 0;
  bool duplicate = false; ///< the id was known: nothing new was stored
};
/// @errors precondition_failed if the expected sequence does not hold; as read_stream_reply
/// otherwise
[[nodiscard]] result<publish_receipt> read_publish_reply(const message& reply);

/// The newest message of @p subject, which the stream must allow to be read directly.
[[nodiscard]] message direct_get_request(std::string_view stream, std::string_view subject);
struct stored_message {
  std::string subject;
  std::string data;
  std::uint64_t sequence = 0;
  std::vector<message_header> headers; ///< the publisher's and the server's (Nats-...)
};
/// @errors not_found
[[nodiscard]] result<stored_message> read_direct_reply(const message& reply);

/// A durable pull consumer that begins with the first message and wants explicit acknowledgements.
[[nodiscard]] message create_consumer_request(std::string_view stream, std::string_view consumer);
[[nodiscard]] result<void> read_consumer_reply(const message& reply);
/// Asks for up to @p batch messages; they come one by one to the reply subject, each with an own
/// reply subject to acknowledge on. A message with a status ends the batch early.
[[nodiscard]] message pull_request(std::string_view stream,
                                   std::string_view consumer,
                                   std::uint32_t batch,
                                   std::chrono::nanoseconds expires);
[[nodiscard]] message acknowledgement(const message& delivered);

/// Creates the stream or brings an existing one to these settings.
[[nodiscard]] result<stream_state>
ensure_stream(connection& bus, const stream_config& config, std::chrono::milliseconds timeout);
[[nodiscard]] result<publish_receipt> publish_acked(connection& bus,
                                                    std::string subject,
                                                    std::string data,
                                                    const publish_terms& terms,
                                                    std::chrono::milliseconds timeout);
[[nodiscard]] result<stored_message> direct_get_last(connection& bus,
                                                     std::string_view stream,
                                                     std::string_view subject,
                                                     std::chrono::milliseconds timeout);
[[nodiscard]] result<stream_state>
stream_info(connection& bus, std::string_view stream, std::chrono::milliseconds timeout);
[[nodiscard]] result<void> ensure_pull_consumer(connection& bus,
                                                std::string_view stream,
                                                std::string_view consumer,
                                                std::chrono::milliseconds timeout);
/// Up to @p batch messages, fewer once @p wait has passed. They are not acknowledged yet.
[[nodiscard]] result<std::vector<message>> fetch(connection& bus,
                                                 std::string_view stream,
                                                 std::string_view consumer,
                                                 std::uint32_t batch,
                                                 std::chrono::milliseconds wait);

} // namespace marchproxy::bus
