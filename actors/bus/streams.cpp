// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/streams.hpp"

#include "actors/bus/json_fields.hpp"

#include <charconv>
#include <utility>

namespace marchproxy::bus {
namespace {

using nlohmann::json;
using std::string_view;

// err_code of JetStream's API errors (nats-server, server/errors.json).
constexpr std::uint64_t stream_exists = 10058;
constexpr std::uint64_t wrong_last_sequence = 10071;
constexpr std::uint64_t wrong_last_sequence_constant = 10164; // later servers, same meaning

constexpr std::uint64_t megabyte = std::uint64_t{1} << 20;

string_view text_of(const message& reply) {
  return reply.data;
}

tl::unexpected<error> to_error(const json& from) {
  const auto text = text_at(from, "description");
  switch (count_at(from, "err_code").value_or(0)) {
  case stream_exists:
    return fail(errc::conflict, text);
  case wrong_last_sequence:
  case wrong_last_sequence_constant:
    return fail(errc::precondition_failed, text);
  default:
    break;
  }
  switch (count_at(from, "code").value_or(0)) {
  case 404:
    return fail(errc::not_found, text);
  case 503:
    return fail(errc::unavailable, text);
  default:
    return fail(errc::refused, text);
  }
}

/// The reply's object, unless it says that the request failed.
result<json> read_reply(const message& reply) {
  auto body = json::parse(text_of(reply), nullptr, false);
  if (!body.is_object())
    return fail(errc::corrupt, "JetStream's answer is no JSON object");
  if (const auto found = body.find("error"); found != body.end() && found->is_object())
    return to_error(*found);
  return body;
}

std::string api(string_view request, string_view stream) {
  return std::string{"$JS.API."}.append(request).append(".").append(stream);
}

std::string body_of(const stream_config& config) {
  return json{{"name", config.name},
              {"subjects", json::array({config.subjects})},
              {"retention", "limits"},
              {"discard", "old"},
              {"storage", "file"},
              {"num_replicas", 1},
              {"max_msgs_per_subject", config.max_messages_per_subject},
              {"max_bytes", config.max_bytes},
              {"max_age", config.max_age.count()},
              {"allow_direct", config.direct_get},
              {"deny_delete", config.append_only},
              {"deny_purge", config.append_only},
              {"duplicate_window", config.duplicate_window.count()}}
    .dump();
}

} // namespace

stream_config config_stream() {
  stream_config config{"CFG", "mp.v1.cfg.>"};
  config.max_messages_per_subject = 1;
  config.max_bytes = std::int64_t{1}
                     << 30; // chunks of former revisions go first: the record in force is younger
  config.direct_get = true;
  return config;
}

stream_config audit_stream() {
  stream_config config{"AUDIT", "mp.v1.audit.>"};
  config.append_only = true;
  return config;
}

stream_config events_stream() {
  stream_config config{"EVENTS", "mp.v1.event.>"};
  config.max_bytes = static_cast<std::int64_t>(64 * megabyte);
  config.max_age = std::chrono::hours{24 * 7};
  return config;
}

message create_stream_request(const stream_config& config) {
  return {api("STREAM.CREATE", config.name), body_of(config)};
}

message update_stream_request(const stream_config& config) {
  return {api("STREAM.UPDATE", config.name), body_of(config)};
}

message stream_info_request(string_view stream) {
  return {api("STREAM.INFO", stream)};
}

result<stream_state> read_stream_reply(const message& reply) {
  const auto body = read_reply(reply);
  if (!body)
    return tl::unexpected(body.error());
  const auto state = body->find("state");
  if (state == body->end() || !state->is_object())
    return fail(errc::corrupt, "JetStream's answer has no state of the stream");
  return stream_state{count_at(*state, "messages").value_or(0),
                      count_at(*state, "first_seq").value_or(0),
                      count_at(*state, "last_seq").value_or(0)};
}

message publish_request(std::string subject, std::string data, const publish_terms& terms) {
  message m{std::move(subject), std::move(data)};
  if (!terms.id.empty())
    m.headers.push_back({"Nats-Msg-Id", terms.id});
  if (terms.expected_subject_sequence)
    m.headers.push_back(
      {"Nats-Expected-Last-Subject-Sequence", std::to_string(*terms.expected_subject_sequence)});
  return m;
}

result<publish_receipt> read_publish_reply(const message& reply) {
  const auto body = read_reply(reply);
  if (!body)
    return tl::unexpected(body.error());
  const auto sequence = count_at(*body, "seq");
  if (!sequence)
    return fail(errc::corrupt, "JetStream's answer has no sequence");
  const auto duplicate = body->find("duplicate");
  return publish_receipt{*sequence, duplicate != body->end() && *duplicate == true};
}

message direct_get_request(string_view stream, string_view subject) {
  return {api("DIRECT.GET", stream).append(".").append(subject)};
}

result<stored_message> read_direct_reply(const message& reply) {
  if (reply.status == 404)
    return fail(errc::not_found, "the stream has no message on this subject");
  if (reply.status != 0)
    return fail(errc::refused, "the stream cannot be read: status " + std::to_string(reply.status));
  stored_message stored{std::string{find_header(reply, "Nats-Subject")}, reply.data, 0,
                        reply.headers};
  const auto sequence = find_header(reply, "Nats-Sequence");
  std::from_chars(sequence.data(), sequence.data() + sequence.size(), stored.sequence);
  if (stored.subject.empty() || stored.sequence == 0)
    return fail(errc::corrupt, "JetStream's answer does not say what it is");
  return stored;
}

message create_consumer_request(string_view stream, string_view consumer) {
  const json body{{"stream_name", std::string{stream}},
                  {"config",
                   {{"durable_name", std::string{consumer}},
                    {"ack_policy", "explicit"},
                    {"deliver_policy", "all"},
                    {"ack_wait", std::chrono::nanoseconds{std::chrono::seconds{30}}.count()},
                    {"max_ack_pending", 1000}}}};
  return {api("CONSUMER.DURABLE.CREATE", stream).append(".").append(consumer), body.dump()};
}

result<void> read_consumer_reply(const message& reply) {
  const auto body = read_reply(reply);
  if (!body)
    return tl::unexpected(body.error());
  return {};
}

message pull_request(string_view stream,
                     string_view consumer,
                     std::uint32_t batch,
                     std::chrono::nanoseconds expires) {
  return {api("CONSUMER.MSG.NEXT", stream).append(".").append(consumer),
          json{{"batch", batch}, {"expires", expires.count()}}.dump()};
}

message acknowledgement(const message& delivered) {
  return {delivered.reply, "+ACK"};
}

} // namespace marchproxy::bus
