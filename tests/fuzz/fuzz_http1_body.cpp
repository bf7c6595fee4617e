// SPDX-License-Identifier: AGPL-3.0-only
// A stream of HTTP/1 messages, head, body and trailers, in whatever pieces it comes: the pieces
// make no difference, and a body that is written anew as the relay writes it is read as the same
// body.
//   first byte: what to read (even: requests; odd: responses); second byte: seed of the pieces; the
//   rest: the stream
#include "actors/base/error.hpp"
#include "nodes/wire/http1_writer.hpp"
#include "tests/support/http1_reader.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using namespace marchproxy;
using marchproxy::testing::http1_reader;

struct reading {
  std::string verdict;
  std::string bodies;

  bool operator==(const reading&) const = default;
};

/// @param step  gives the size of the next piece, at least 1
template <class Step>
reading read(std::string_view in, const std::string& method, Step step) {
  http1_reader reader{method};
  while (!in.empty()) {
    auto size = std::min<std::size_t>(step(), in.size());
    reader.feed(in.substr(0, size));
    in.remove_prefix(size);
  }
  auto verdict = reader.finish();
  return {verdict, reader.bodies()};
}

/// xorshift: sizes of 1 to 16, so that a few pieces make a line.
class pieces {
public:
  explicit pieces(std::uint8_t seed) noexcept : state_(seed * 2654435761U + 1) {}
  std::size_t operator()() noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return 1 + state_ % 16;
  }

private:
  std::uint32_t state_;
};

/// The chunks of a stream that is one chunked body, written anew and read again.
void rewrite(std::string_view in) {
  wire::chunked_decoder decoder;
  std::string data;
  std::string trailers;
  while (!decoder.done()) {
    auto piece = decoder.next(in);
    if (piece.state == wire::parse_state::error || piece.consumed == 0)
      return;
    data += piece.data;
    trailers += piece.trailer;
    in.remove_prefix(piece.consumed);
  }
  std::string again;
  if (!data.empty()) {
    wire::write_chunk_size(again, data.size());
    again += data + "\r\n";
  }
  again += "0\r\n" + trailers + "\r\n";
  auto head = std::string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"};
  http1_reader reader{""};
  reader.feed(head + again);
  auto verdict = reader.finish();
  wire::field_list fields;
  auto fits = fields.parse(trailers) == wire::http1_error::none;
  MP_INVARIANT(verdict.ends_with(" | end") == fits);
  MP_INVARIANT(!fits || reader.bodies() == data + trailers);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2)
    return 0;
  std::string method = data[0] % 2 == 0 ? "" : "GET";
  std::string_view in{reinterpret_cast<const char*>(data) + 2, size - 2};
  auto whole = read(in, method, [&] { return in.size(); });
  MP_INVARIANT(read(in, method, [] { return std::size_t{1}; }) == whole);
  MP_INVARIANT(read(in, method, pieces{data[1]}) == whole);
  rewrite(in);
  return 0;
}
