// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/forward_head.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace marchproxy::relay {

/// The fields that @p head announces in Trailer and that may stand behind a body, as a comma list.
/// Only these are forwarded (RFC 9110 6.5.1, 6.6.2); what Connection names is not among them.
/// @param changes  to the head: what is set or removed there does not come behind the body either
[[nodiscard]] std::string announced_trailers(const wire::field_list& head,
                                             std::span<const model::header_change> changes = {});

/// Writes a trailer section anew.
/// @param lines      as they came, each with its CRLF
/// @param announced  names that go on, a comma list; the others are dropped
/// @return           lines, or nothing when @p lines is no section within the bounds of a head
[[nodiscard]] std::optional<std::string> forwarded_trailers(std::string_view lines,
                                                            std::string_view announced);

} // namespace marchproxy::relay
