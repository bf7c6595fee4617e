// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "nodes/wire/auth_line.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

using namespace marchproxy::wire;

/// However the bytes arrive, the same is read; what is complete needed all of its bytes, and what
/// is wrong stays wrong.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view in{reinterpret_cast<const char*>(data), size};
  const auto whole = auth_line::parse_answer(in);
  for (std::size_t shown = 0; shown < std::min<std::size_t>(in.size(), 200); ++shown) {
    const auto part = auth_line::parse_answer(in.substr(0, shown));
    MP_INVARIANT(part.state == parse_state::need_more || part.state == whole.state);
    MP_INVARIANT(part.state != parse_state::complete || part.consumed == whole.consumed);
  }
  if (whole.state != parse_state::complete) {
    MP_INVARIANT(whole.state == parse_state::error
                 || in.size() <= auth_line::max_service + auth_line::max_token + 2);
    return 0;
  }
  MP_INVARIANT(whole.consumed <= in.size() && in[whole.consumed - 1] == '\n');
  MP_INVARIANT(auth_line::parse_answer(in.substr(0, whole.consumed - 1)).state
               == parse_state::need_more);
  const auto& [service, token] = whole.value;
  MP_INVARIANT(!service.empty() && service.size() <= auth_line::max_service);
  MP_INVARIANT(!token.empty() && token.size() <= auth_line::max_token);
  MP_INVARIANT(std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; }));
  return 0;
}
