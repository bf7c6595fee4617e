// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/decode_parts.hpp"

namespace marchproxy::model::decoding {

namespace {

rate_limit read_rate(sj::value value, std::uint64_t most) {
  rate_limit out;
  each_field(value, [&](std::string_view key, sj::value v) {
    if (key == "rate")
      out.rate = number(v, most);
    else if (key == "interval")
      out.interval = static_cast<std::uint32_t>(number(v, longest_limit_interval));
    else if (key == "burst")
      out.burst = number(v);
    else
      return false;
    return true;
  });
  require(!limit_fault(out, most), "a limit is not valid");
  return out;
}

} // namespace

limits decode_limits(sj::value value) {
  limits out;
  each_field(value, [&](std::string_view key, sj::value v) {
    if (key == "per")
      out.per = must(v.get_string()) == "source" ? limit_scope::source : limit_scope::together;
    else if (key == "connections")
      out.connections = read_rate(v, most_events_per_interval);
    else if (key == "max_connections")
      out.max_connections = static_cast<std::uint32_t>(number(v, most_connections));
    else if (key == "requests")
      out.requests = read_rate(v, most_events_per_interval);
    else if (key == "packets")
      out.packets = read_rate(v, most_events_per_interval);
    else if (key == "bytes")
      out.bytes = read_rate(v, most_bytes_per_interval);
    else
      return false;
    return true;
  });
  require(!out.empty(), "limits of nothing");
  return out;
}

} // namespace marchproxy::model::decoding
