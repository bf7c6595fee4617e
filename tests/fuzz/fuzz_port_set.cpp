// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "actors/model/port_set.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

using namespace marchproxy;

/// What is accepted has a text that reads back as the same set.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto same = [](const result<model::port_set>& got) {
    if (got)
      MP_INVARIANT(model::parse_ports(got->text(), "ports") == *got);
    else
      MP_INVARIANT(!got.error().fields.empty());
  };
  same(model::parse_ports(bytes, "ports"));
  const auto json = nlohmann::json::parse(bytes, nullptr, false);
  if (!json.is_discarded())
    same(model::parse_ports_json(json, "ports"));
  return 0;
}
