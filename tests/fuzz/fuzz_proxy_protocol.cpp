// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "nodes/wire/proxy_protocol.hpp"

#include <cstdint>
#include <string_view>

using namespace marchproxy::wire;

/// A complete header needed all of its bytes, and says the same when it is written again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view in{reinterpret_cast<const char*>(data), size};
  auto out = proxy_protocol::parse(in);
  if (out.state != parse_state::complete)
    return 0;
  MP_INVARIANT(out.consumed > 0 && out.consumed <= in.size());
  auto shorter = proxy_protocol::parse(in.substr(0, out.consumed - 1));
  MP_INVARIANT(shorter.state == parse_state::need_more);
  if (!out.of)
    return 0;
  for (auto v : {proxy_protocol::version::v1, proxy_protocol::version::v2}) {
    auto again = proxy_protocol::parse(proxy_protocol::write(v, *out.of));
    MP_INVARIANT(again.state == parse_state::complete && again.of == out.of);
  }
  return 0;
}
