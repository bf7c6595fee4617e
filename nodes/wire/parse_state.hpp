// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>

namespace marchproxy::wire {

/// What a parser says about the bytes it was shown.
enum class parse_state : std::uint8_t {
  need_more, ///< a correct beginning; show the same bytes again with more behind them
  complete,  ///< one whole element was read
  error,     ///< no continuation can make this right
};

} // namespace marchproxy::wire
