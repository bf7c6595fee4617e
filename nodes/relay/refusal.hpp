// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/limiting/admission.hpp"
#include "nodes/relay/decision.hpp"
#include "nodes/relay/snapshot.hpp"
#include "nodes/wire/socks5.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::relay {

struct refusal {
  reason why = reason::implicit_deny;
  std::string message; ///< one sentence for people; empty: the reason's own
  mapping_id mapping = {};
  marchproxy::revision revision = {};
  std::uint64_t request = 0;
  std::uint16_t status = 0; ///< 0: the reason's own
  bool keep_alive = false;
  bool head_only = false;                      ///< the answer to HEAD: no body
  std::optional<limiting::refused> limit = {}; ///< that is why
};

/// 403, 404, 407, 400, 429, 502, 503 or 504.
[[nodiscard]] std::uint16_t status_of(reason r) noexcept;
[[nodiscard]] wire::socks5::reply_code socks_reply_of(reason r) noexcept;

/// Appends the whole HTTP answer: head, and a JSON body that names the mapping (or the lack of
/// one), the reason, the revision and the request.
/// @param snapshot  where the mapping's name is looked up; may be null
void write_refusal(std::string& out, const refusal& r, const policy_snapshot* snapshot);

} // namespace marchproxy::relay
