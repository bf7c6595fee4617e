// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/joining.hpp"

#include <utility>

namespace marchproxy::bus {
namespace {

constexpr std::string_view enroll_prefix = "mp.v1.enroll.";
constexpr std::string_view renew_prefix = "mp.v1.enroll.renew.";

} // namespace

result<std::string> join(const join_options& options) {
  const auto user = options.user.public_key();
  auto bus = connection::open({
    .urls = options.urls,
    .name = "join " + options.key.cluster_name,
    .user = options.user,
    .jwt = [&options, user] { return mint_join_jwt(options.key, user, wall_now()); },
    .connect_timeout = options.timeout,
  });
  if (!bus)
    return tl::unexpected(bus.error());
  if (auto up = (*bus)->wait_until_up(options.timeout); !up)
    return tl::unexpected(up.error());
  auto reply =
    (*bus)->request({std::string{enroll_prefix} + user, options.payload}, options.timeout);
  if (!reply)
    return tl::unexpected(reply.error());
  return std::move(reply->data);
}

message renewal_request(std::string_view user_key, std::string payload) {
  return {std::string{renew_prefix}.append(user_key), std::move(payload)};
}

result<std::string> renew(connection& bus,
                          std::string_view user_key,
                          std::string payload,
                          std::chrono::milliseconds timeout) {
  auto reply = bus.request(renewal_request(user_key, std::move(payload)), timeout);
  if (!reply)
    return tl::unexpected(reply.error());
  return std::move(reply->data);
}

result<requester> read_requester(std::string_view subject) {
  const auto renewal = subject.starts_with(renew_prefix);
  const auto prefix = renewal ? renew_prefix : enroll_prefix;
  if (!subject.starts_with(prefix)
      || !parse_public_nkey(nkey_kind::user, subject.substr(prefix.size())))
    return fail(errc::invalid_argument, "not an enrolment subject of a user key");
  return requester{std::string{subject.substr(prefix.size())}, renewal};
}

result<requester> verify_requester(const message& request, std::string_view claimed_key) {
  auto who = read_requester(request.subject);
  if (who && who->user_key != claimed_key)
    return fail(errc::forbidden, "the request speaks for another key than its sender's");
  return who;
}

} // namespace marchproxy::bus
