// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/input_parts.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::model {

result<mapping> parse_mapping(const nlohmann::json& input, const service_directory& services) {
  field_reader in{input};
  ignore_server_fields(in);
  mapping out;
  out.name = in.text({"name"}, {.max_bytes = 100});
  out.sources = read_selectors(in, {"sources", "source_services"}, mapping_side::sources, services);
  out.destinations =
    read_selectors(in, {"destinations", "dest_services"}, mapping_side::destinations, services);
  out.protocols = read_protocols(in, {"protocols", "protocol"});
  out.ports = read_ports(in, {"ports", "port"});
  out.auth_required = in.boolean({"auth_required"}, out.auth_required);
  if (const auto priority = in.number({"priority"}, {.least = 0, .most = 65'535}))
    out.priority = static_cast<std::uint32_t>(*priority);
  out.comment = in.text({"comment", "comments", "description"}, {.max_bytes = most_prose});
  out.active = in.boolean({"active", "is_active"}, out.active);
  if (const auto action = read_word(in, {"action"}, {"deny", "allow", "bypass"}))
    out.action = static_cast<mapping_action>(*action);
  out.allow_private = in.boolean({"allow_private"}, out.allow_private);
  out.limits = read_limits(in, "mapping");
  if (out.limits && out.action == mapping_action::deny)
    in.refuse(in.path("limits"), "are of what passes, and this mapping denies");
  out.observe = in.boolean({"observe"}, out.observe);
  if (const auto what = read_word(in, {"when_revoked"}, {"cut", "drain", "finish"}))
    out.when_revoked = static_cast<revocation>(*what);
  if (const auto seconds =
        in.number({"drain_seconds"}, {.least = 1, .most = longest_drain_seconds}))
    out.drain_seconds = static_cast<std::uint32_t>(*seconds);
  if (auto e = in.finish())
    return tl::unexpected(std::move(*e));
  return out;
}

} // namespace marchproxy::model
