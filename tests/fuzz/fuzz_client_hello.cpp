// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "nodes/wire/client_hello.hpp"
#include "nodes/wire/openssl_hello.test.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

using namespace marchproxy::wire;

namespace {

struct reading {
  client_hello_scanner::outcome outcome;
  std::string name;
  std::string alpn;
  std::string versions;
  bool encrypted = false;
};

/// Shows the bytes in steps of 1 to @p longest, which the bytes themselves choose.
reading read(std::string_view in, std::size_t longest) {
  client_hello_scanner scanner;
  reading out;
  for (std::size_t shown = 0; shown < in.size() && out.outcome.state == parse_state::need_more;) {
    shown += longest >= in.size() ? in.size() : 1 + static_cast<std::uint8_t>(in[shown]) % longest;
    out.outcome = scanner.scan(in.substr(0, shown));
  }
  if (out.outcome.state != parse_state::complete)
    return out;
  const auto& hello = scanner.hello();
  out.name = hello.server_name.name();
  out.alpn = hello.alpn;
  out.versions = hello.versions;
  out.encrypted = hello.encrypted;
  return out;
}

} // namespace

/// However the bytes are split, the same is read. A name that OpenSSL's server acts on is the name
/// that was read, or the hello was refused: it is never overlooked.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view in{reinterpret_cast<const char*>(data), size};
  auto whole = read(in, std::max<std::size_t>(size, 1));
  for (std::size_t longest : {1U, 7U, 300U}) {
    auto split = read(in, longest);
    MP_INVARIANT(split.outcome.state == whole.outcome.state);
    MP_INVARIANT(split.outcome.error == whole.outcome.error);
    MP_INVARIANT(split.name == whole.name && split.alpn == whole.alpn);
    MP_INVARIANT(split.versions == whole.versions && split.encrypted == whole.encrypted);
  }
  auto seen = marchproxy::wire::testing::openssl_server_name(in);
  if (!seen)
    return 0;
  auto overlooked = whole.outcome.state == parse_state::need_more
                    || whole.outcome.error == client_hello_error::not_tls;
  MP_INVARIANT(!overlooked);
  if (whole.outcome.state == parse_state::complete) {
    auto name = host::parse(*seen);
    MP_INVARIANT(name && name->name() == whole.name);
  }
  return 0;
}
