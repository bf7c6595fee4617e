// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "nodes/wire/socks5.hpp"

#include <cstdint>
#include <string_view>

namespace {

using namespace marchproxy::wire;

/// Whatever is complete must have needed all of its bytes, and lie inside the input.
template <class Parse>
std::size_t check(std::string_view in, Parse parse) {
  auto out = parse(in);
  if (out.state != parse_state::complete)
    return 0;
  MP_INVARIANT(out.consumed > 0 && out.consumed <= in.size());
  MP_INVARIANT(parse(in.substr(0, out.consumed - 1)).state == parse_state::need_more);
  return out.consumed;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view in{reinterpret_cast<const char*>(data), size};
  in.remove_prefix(check(in, socks5::parse_greeting));
  in.remove_prefix(check(in, socks5::parse_credentials));
  auto request = socks5::parse_request(in);
  check(in, socks5::parse_request);
  if (request.state == parse_state::complete && !request.value.target.host.address()) {
    auto again = host::parse(request.value.target.host.name());
    MP_INVARIANT(again && again->name() == request.value.target.host.name());
  }
  if (auto datagram = socks5::parse_datagram(in)) {
    MP_INVARIANT(datagram->data.size() < in.size() && datagram->target.port != 0);
    MP_INVARIANT(datagram->data.empty() || datagram->data.end() == in.end());
  }
  return 0;
}
