// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "actors/model/model.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

using namespace marchproxy;

/// Nothing but canonical bytes is accepted.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto got = model::decode_ruleset(bytes);
  if (got)
    MP_INVARIANT(model::encode(*got) == bytes);
  else
    MP_INVARIANT(got.error().code == errc::corrupt);
  return 0;
}
