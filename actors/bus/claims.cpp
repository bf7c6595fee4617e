// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/claims.hpp"

#include "actors/bus/json_fields.hpp"

#include <utility>

namespace marchproxy::bus {
namespace {

result<void> ask(connection& system, message m, std::chrono::milliseconds timeout) {
  const auto reply = system.request(std::move(m), timeout);
  if (!reply)
    return tl::unexpected(reply.error());
  return read_claims_reply(*reply);
}

} // namespace

message claims_update(std::string account_jwt) {
  return {"$SYS.REQ.CLAIMS.UPDATE", std::move(account_jwt)};
}

message claims_delete(std::string deletion_jwt) {
  return {"$SYS.REQ.CLAIMS.DELETE", std::move(deletion_jwt)};
}

result<void> read_claims_reply(const message& reply) {
  const auto body = nlohmann::json::parse(reply.data, nullptr, false);
  if (!body.is_object())
    return fail(errc::corrupt, "the answer about an account is no JSON object");
  if (const auto found = body.find("error"); found != body.end() && found->is_object())
    return fail(errc::refused, "the account was refused: " + text_at(*found, "description"));
  if (!body.contains("data"))
    return fail(errc::corrupt, "the answer about an account says nothing");
  return {};
}

result<void>
push_account(connection& system, std::string account_jwt, std::chrono::milliseconds timeout) {
  return ask(system, claims_update(std::move(account_jwt)), timeout);
}

result<void>
delete_account(connection& system, std::string deletion_jwt, std::chrono::milliseconds timeout) {
  return ask(system, claims_delete(std::move(deletion_jwt)), timeout);
}

} // namespace marchproxy::bus
