// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "nodes/wire/chunked.hpp"
#include "nodes/wire/http1.hpp"
#include "nodes/wire/http1_writer.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using namespace marchproxy::wire;

/// What we would write for a head that we accepted must be accepted again, and mean the same.
void round_trip(const request_head& first) {
  std::string text;
  head_writer writer{text};
  writer.request_line(first.method, first.target);
  for (const auto& f : first.fields)
    writer.field(f.name, f.value);
  writer.end();
  if (text.size() > max_head_bytes)
    return;
  request_head second;
  auto e = second.parse(text);
  // We write HTTP/1.1, which asks more of Host than HTTP/1.0 does.
  if (first.minor == 0 && e == http1_error::host)
    return;
  MP_INVARIANT(e == http1_error::none);
  MP_INVARIANT(second.body == first.body);
  MP_INVARIANT(second.authority.text() == first.authority.text());
  MP_INVARIANT(second.path == first.path);
}

void decode_body(std::string_view body) {
  chunked_decoder decoder;
  while (true) {
    auto piece = decoder.next(body);
    MP_INVARIANT(piece.consumed <= body.size());
    body.remove_prefix(piece.consumed);
    if (piece.state != parse_state::need_more || piece.consumed == 0)
      return;
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view in{reinterpret_cast<const char*>(data), size};
  head_scanner at_once;
  auto found = at_once.scan(in);
  head_scanner trickled;
  head_scanner::outcome last;
  for (size_t n = 0; n <= size && last.state == parse_state::need_more; ++n)
    last = trickled.scan(in.substr(0, n));
  MP_INVARIANT(last.state == found.state && last.size == found.size && last.error == found.error);
  response_head response;
  if (found.state != parse_state::complete) {
    (void)response.parse(in, "GET");
    decode_body(in);
    return 0;
  }
  auto head = in.substr(0, found.size);
  request_head request;
  if (request.parse(head) == http1_error::none) {
    round_trip(request);
    // What would be taken for something else, where HTTP is not expected, is at most an odd method,
    // or one behind an empty line.
    const auto plain =
      head.front() != '\r'
      && request.method.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == std::string_view::npos
      && request.method.size() <= 24;
    MP_INVARIANT((begins_request(head) == parse_state::complete) == plain);
  }
  (void)response.parse(head, "HEAD");
  decode_body(in.substr(found.size));
  return 0;
}
