// SPDX-License-Identifier: AGPL-3.0-only
// The file of leases that a proxy finds when it starts. The first line and the seal are put right
// around the input, so that all between is read too.
#include "actors/base/error.hpp"
#include "actors/crypto/digest.hpp"
#include "nodes/net/lease_file.hpp"

#include <cstdint>
#include <string>
#include <string_view>

using namespace marchproxy;

/// What is read is written again as it was, up to the spelling of addresses and times.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view in{reinterpret_cast<const char*>(data), size};
  (void)net::read_leases(in);
  const auto body = "marchproxy leases 1\n" + std::string{in};
  const auto read = net::read_leases(body + "sha256 " + crypto::sha256_hex(body) + "\n");
  if (!read)
    return 0;
  const auto again = net::read_leases(net::write_leases(*read));
  MP_INVARIANT(again && again->size() == read->size());
  for (std::size_t i = 0; i < read->size(); ++i)
    MP_INVARIANT((*again)[i].name == (*read)[i].name && (*again)[i].what == (*read)[i].what);
  net::lease_store store{{}};
  const auto kept = store.restore(*read, net::clock::time_point{} + std::chrono::hours{1},
                                  *parse_time("2026-11-30T12:00:00Z"));
  MP_INVARIANT(kept <= read->size());
  return 0;
}
