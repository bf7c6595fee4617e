// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/model/input_parts.hpp"
#include "actors/model/text_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::model {

namespace {

/// Service names that a selector would read as something else.
bool is_ambiguous(std::string_view name) noexcept {
  return name == "all"
         || std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void read_health_limits(field_reader& in, health_check& out, field_reader::names interval) {
  if (const auto seconds = in.number(interval, {.least = 1, .most = 86'400}))
    out.interval = std::chrono::seconds{static_cast<std::chrono::seconds::rep>(*seconds)};
}

std::string read_health_path(field_reader& in, field_reader::names of, std::string otherwise) {
  auto path = in.text(of, {.max_bytes = 255,
                           .accepts = is_http_path,
                           .form = "must be a path that starts with `/`, in visible ASCII"});
  return path.empty() ? std::move(otherwise) : std::move(path);
}

/// The object `health_check`, or the earlier MarchProxy's flat fields.
health_check read_health(field_reader& in) {
  health_check out;
  const auto given = in.take({"health_check"});
  if (given) {
    field_reader nested{*given.value, given.path + "."};
    out.enabled = nested.boolean({"enabled"}, out.enabled);
    out.path = read_health_path(nested, {"path"}, out.path);
    read_health_limits(nested, out, {"interval", "interval_seconds"});
    const field_reader::number_limits times{.least = 1, .most = 100};
    if (const auto n = nested.number({"healthy_threshold"}, times))
      out.healthy_threshold = static_cast<std::uint32_t>(*n);
    if (const auto n = nested.number({"unhealthy_threshold"}, times))
      out.unhealthy_threshold = static_cast<std::uint32_t>(*n);
    if (const auto e = nested.finish())
      in.absorb(*e);
  }
  out.enabled = in.boolean({"health_check_enabled"}, out.enabled);
  out.path = read_health_path(in, {"health_check_path"}, out.path);
  read_health_limits(in, out, {"health_check_interval"});
  return out;
}

void read_address(field_reader& in, service& out) {
  const auto given = in.take({"address", "ip_fqdn"});
  if (!given)
    return in.refuse(given.path, "is required");
  const auto* text = given.value->get_ptr<const std::string*>();
  if (text == nullptr)
    return in.refuse(given.path, "must be a text");
  auto address = parse_address(*text, given.path);
  if (address)
    out.address = std::move(*address);
  else
    in.absorb(address.error());
}

void read_listener(field_reader& in, service& out) {
  const auto port = in.number({"listen_port"}, {.least = 1, .most = 65'535});
  if (!port)
    return;
  out.listen_port = static_cast<std::uint16_t>(*port);
  if (!only_port(out.ports))
    in.refuse(in.path("listen_port"), "needs a service with exactly one port to forward to");
  if (!is_single_host(out.address))
    in.refuse(in.path("listen_port"), "needs a service at one address or name to forward to");
}

/// How the service hears of its clients, who come to it by a proxy.
void read_proxy_protocol(field_reader& in, service& out) {
  const auto as = read_word(in, {"proxy_protocol"}, {"off", "v1", "v2"});
  if (!as)
    return;
  out.proxy_protocol = static_cast<proxy_header>(*as);
  if (out.proxy_protocol == proxy_header::off)
    return;
  if (!is_single_host(out.address))
    in.refuse(
      in.path("proxy_protocol"),
      "needs a service at one address or name: no listener or ingress route leads elsewhere");
  if (out.protocols != any_protocol && !has(out.protocols, protocol::tcp))
    in.refuse(in.path("proxy_protocol"), "needs a service that is reached by tcp");
}

} // namespace

result<service> parse_service(const nlohmann::json& input) {
  field_reader in{input};
  ignore_server_fields(in);
  service out;
  out.name = in.text(
    {"name"},
    {.max_bytes = 100, .required = true, .accepts = is_service_name, .form = service_name_form});
  if (!out.name.empty() && is_ambiguous(out.name))
    in.refuse(in.path("name"), "must not be `all` and not consist of digits alone");
  out.description = in.text({"description"}, {.max_bytes = most_prose});
  read_address(in, out);
  out.ports = read_ports(in, {"ports", "port"});
  out.protocols = read_protocols(in, {"protocols", "protocol"});
  out.collection = in.text(
    {"collection"}, {.max_bytes = 100, .accepts = is_service_name, .form = service_name_form});
  if (const auto auth = read_word(in, {"auth_type", "auth"}, {"none", "base64", "jwt", "api_key"}))
    out.auth = *auth == 3 ? auth_type::base64 : static_cast<auth_type>(*auth);
  out.tls_enabled = in.boolean({"tls_enabled"}, out.tls_enabled);
  out.tls_verify = in.boolean({"tls_verify"}, out.tls_verify);
  out.health = read_health(in);
  read_listener(in, out);
  out.active = in.boolean({"active", "is_active"}, out.active);
  out.limits = read_limits(in, "service");
  read_proxy_protocol(in, out);
  if (auto e = in.finish())
    return tl::unexpected(std::move(*e));
  return out;
}

} // namespace marchproxy::model
