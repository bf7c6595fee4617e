// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/cluster_key.hpp"
#include "actors/bus/connection.hpp"
#include "actors/bus/message.hpp"
#include "actors/bus/nkey.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::bus {

// Enrolment as the bus sees it: who may ask, and that nobody asks in another's name. What is asked
// and answered (seats, the proxy's JWT) is the manager's and the proxy's affair.

struct join_options {
  cluster_api_key key;
  std::vector<std::string> urls;
  nkey user;           ///< the proxy's own, made by it and kept by it
  std::string payload; ///< the request, JSON
  std::chrono::milliseconds timeout{5000};
};

/// Connects with a JWT that the proxy mints itself from the cluster key, asks for enrolment and
/// disconnects. Blocks.
/// @returns the manager's answer
/// @errors  unauthenticated: the server knows no such cluster key; unavailable: no server, or no
/// manager listens;
///          timeout
[[nodiscard]] result<std::string> join(const join_options& options);

/// The request for a fresh JWT over the proxy's own connection.
[[nodiscard]] message renewal_request(std::string_view user_key, std::string payload);
/// Sends it and blocks. @returns the manager's answer
[[nodiscard]] result<std::string> renew(connection& bus,
                                        std::string_view user_key,
                                        std::string payload,
                                        std::chrono::milliseconds timeout);

/// What the manager subscribes to.
inline constexpr std::string_view enroll_subject = "mp.v1.enroll.*";
inline constexpr std::string_view renew_subject = "mp.v1.enroll.renew.*";

/// Who asks. The role's template lets each user publish under its own key only, so the subject
/// cannot be forged.
struct requester {
  std::string user_key;
  bool renewal = false;
};
/// @errors invalid_argument unless @p subject is an enrolment or renewal of a user key
[[nodiscard]] result<requester> read_requester(std::string_view subject);
/// read_requester, and that the payload speaks for the same key.
/// @errors forbidden if @p claimed_key is another
[[nodiscard]] result<requester> verify_requester(const message& request,
                                                 std::string_view claimed_key);

} // namespace marchproxy::bus
