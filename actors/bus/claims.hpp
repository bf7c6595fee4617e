// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/connection.hpp"
#include "actors/bus/message.hpp"

#include <chrono>
#include <string>

namespace marchproxy::bus {

// How accounts get to the servers: requests in the system account. The first two build the request
// for an actor's gateway, read_claims_reply judges the answer, the last two do it all on a
// connection and block.

[[nodiscard]] message claims_update(std::string account_jwt);
/// @param deletion_jwt  of trust::deletion_jwt
[[nodiscard]] message claims_delete(std::string deletion_jwt);
/// @errors refused, with the server's reason; corrupt if @p reply is none
[[nodiscard]] result<void> read_claims_reply(const message& reply);

[[nodiscard]] result<void>
push_account(connection& system, std::string account_jwt, std::chrono::milliseconds timeout);
[[nodiscard]] result<void>
delete_account(connection& system, std::string deletion_jwt, std::chrono::milliseconds timeout);

} // namespace marchproxy::bus
