// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/input_parts.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::model {

namespace {

/// {"rate", "interval"?, "burst"?}
std::optional<rate_limit> read_rate(field_reader& in, field_reader::names of, std::uint64_t most) {
  const auto given = in.take(of);
  if (!given)
    return std::nullopt;
  field_reader nested{*given.value, given.path + "."};
  rate_limit out;
  const auto rate = nested.number({"rate"}, {.least = 1, .most = most});
  const auto interval = nested.number({"interval"}, {.least = 1, .most = longest_limit_interval});
  const auto burst = nested.number({"burst"}, {.least = 1, .most = most * longest_limit_interval});
  if (given.value->is_object()
      && (!given.value->contains("rate") || (*given.value)["rate"].is_null()))
    nested.refuse(nested.path("rate"), "is required");
  out.rate = rate.value_or(1);
  out.interval = static_cast<std::uint32_t>(interval.value_or(1));
  out.burst = burst.value_or(usual_burst(out));
  if (const auto fault = limit_fault(out, most))
    nested.refuse(nested.path("burst"), std::string{*fault});
  if (const auto e = nested.finish()) {
    in.absorb(*e);
    return std::nullopt;
  }
  return out;
}

} // namespace

std::optional<limits> read_limits(field_reader& in, std::string_view together) {
  const auto given = in.take({"limits"});
  if (!given)
    return std::nullopt;
  field_reader nested{*given.value, given.path + "."};
  limits out;
  if (const auto per = read_word(nested, {"per"}, {together, "source"}))
    out.per = static_cast<limit_scope>(*per);
  out.connections = read_rate(nested, {"connections"}, most_events_per_interval);
  if (const auto open = nested.number({"max_connections"}, {.least = 1, .most = most_connections}))
    out.max_connections = static_cast<std::uint32_t>(*open);
  out.requests = read_rate(nested, {"requests"}, most_events_per_interval);
  out.packets = read_rate(nested, {"packets"}, most_events_per_interval);
  out.bytes = read_rate(nested, {"bytes"}, most_bytes_per_interval);
  if (const auto e = nested.finish()) {
    in.absorb(*e);
    return std::nullopt;
  }
  if (out.empty()) {
    in.refuse(given.path, "must have connections, max_connections, requests, packets or bytes");
    return std::nullopt;
  }
  return out;
}

} // namespace marchproxy::model
