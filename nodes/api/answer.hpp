// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/time.hpp"
#include "nodes/api/call.hpp"
#include "nodes/api/route.hpp"

#include <cstdint>
#include <string>

namespace marchproxy::api {

/// An answer that is no success.
struct refusal {
  std::uint16_t status = 500;
  std::string code; ///< `error.code`
  error what;
  http::header_list headers = {};
};

/// What the client is told of an error; 401 and 429 say how to do better.
[[nodiscard]] refusal refuse(error what);

using outcome = tl::expected<reply, refusal>;

/// HTTP status for an error of the backend.
[[nodiscard]] std::uint16_t status_of(errc code) noexcept;

/// The envelope of MGR-1 round a success or a refusal, the bare body where the route has none, 304
/// where the client has the version already.
[[nodiscard]] http::response
render(const route* which, const call& c, outcome made, time_point now);

/// GET and HEAD.
[[nodiscard]] bool is_safe(std::string_view method) noexcept;

} // namespace marchproxy::api
