// SPDX-License-Identifier: AGPL-3.0-only
// Reads ingress routes, in the earlier MarchProxy's encoding too: source_port, dest_service_id,
// enabled, and TCP unless it says otherwise (COMPAT-2).
#include "actors/model/http_rules.hpp"
#include "actors/model/input_parts.hpp"
#include "actors/model/text_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace marchproxy::model {

namespace {

constexpr std::size_t most_backends = 64;
constexpr std::size_t most_header_changes = 32;

constexpr field_reader::number_limits port_numbers{.least = 1, .most = 65'535};

class backend_reader {
public:
  backend_reader(field_reader& in, const service_directory& services)
    : in_(in), services_(services) {}

  void read(const nlohmann::json& value, const std::string& path) {
    ingress_backend one;
    if (value.is_object()) {
      field_reader fields{value, path + "."};
      const auto service = fields.take({"service", "service_id"});
      if (const auto port = fields.number({"port"}, port_numbers))
        one.port = static_cast<std::uint16_t>(*port);
      if (const auto weight = fields.number({"weight"}, {.least = 1, .most = 1000}))
        one.weight = static_cast<std::uint32_t>(*weight);
      one.draining = fields.boolean({"draining"}, one.draining);
      if (!service)
        fields.refuse(service.path, "is required");
      if (const auto e = fields.finish())
        return in_.absorb(*e);
      add(one, *service.value, service.path, path + ".port");
    } else {
      add(one, value, path, path);
    }
  }

  std::vector<ingress_backend> take() { return std::move(found_); }

private:
  void add(ingress_backend one,
           const nlohmann::json& which,
           const std::string& path,
           const std::string& port_path) {
    const auto service = resolve(which);
    if (!service)
      return in_.refuse(path, "must be the id or name of a service in this cluster");
    one.service = *service;
    const auto address = services_.address_of(*service);
    if (!address || !is_single_host(*address))
      return in_.refuse(path, "service " + std::to_string(service->value)
                                + " is not at one address or name, so nothing can be sent to it");
    if (one.port == 0 && !only_port(services_.ports_of(*service)))
      return in_.refuse(port_path, "is required: service " + std::to_string(service->value)
                                     + " does not have exactly one port");
    if (std::any_of(found_.begin(), found_.end(), [&](const ingress_backend& other) {
          return other.service == one.service && other.port == one.port;
        }))
      return in_.refuse(path, "is there twice");
    found_.push_back(one);
  }

  [[nodiscard]] std::optional<service_id> resolve(const nlohmann::json& which) const {
    const auto* name = which.get_ptr<const std::string*>();
    if (const auto id =
          name != nullptr ? whole_number(std::string_view{*name}) : whole_number(which))
      return services_.exists(service_id{*id}) ? std::optional{service_id{*id}} : std::nullopt;
    return name != nullptr ? services_.find_by_name(*name) : std::nullopt;
  }

  field_reader& in_;
  const service_directory& services_;
  std::vector<ingress_backend> found_;
};

std::vector<ingress_backend> read_backends(field_reader& in, const service_directory& services) {
  const auto given = in.take({"backends", "dest_service_id", "dest_service"});
  if (!given)
    return {};
  backend_reader reader{in, services};
  if (!given.value->is_array()) {
    reader.read(*given.value, given.path);
    return reader.take();
  }
  if (given.value->size() > most_backends) {
    in.refuse(given.path, "must have at most 64 elements");
    return {};
  }
  for (std::size_t i = 0; i < given.value->size(); ++i)
    reader.read((*given.value)[i], given.path + "[" + std::to_string(i) + "]");
  return reader.take();
}

std::string read_host(field_reader& in) {
  const auto text = in.text({"host"}, {.max_bytes = 255});
  if (text.empty() || text == "*")
    return {};
  auto address = parse_address(text, in.path("host"));
  if (address && std::holds_alternative<ip_prefix>(*address) && !is_single_host(*address))
    in.refuse(in.path("host"), "must be a name, *.NAME or an address, not a CIDR");
  else if (!address)
    in.absorb(address.error());
  else
    return to_string(*address);
  return {};
}

/// A path as routes have it: the final `/` says nothing.
std::string read_path(field_reader& in, field_reader::names of) {
  auto text = in.text(of, {.max_bytes = 255,
                           .accepts = is_route_path,
                           .form = "must be a path that starts with `/`, in visible ASCII, without "
                                   "query, empty, `.` and `..` segments"});
  while (!text.empty() && text.back() == '/')
    text.pop_back();
  return text;
}

std::vector<header_change> read_header_changes(field_reader& in, std::string_view field) {
  std::vector<header_change> out;
  const auto given = in.take({field});
  if (!given)
    return out;
  if (!given.value->is_object() || given.value->size() > most_header_changes) {
    in.refuse(given.path, "must be an object of at most 32 headers: {\"name\": \"value\" or null}");
    return out;
  }
  for (const auto& [name, value] : given.value->items()) {
    header_change one{lower_case(name), std::nullopt};
    const auto path = given.path + "." + printable(name);
    if (!is_changeable_header(one.name)) {
      in.refuse(path, "is no header that a route may change");
      continue;
    }
    if (const auto* text = value.get_ptr<const std::string*>()) {
      if (text->size() > 1024 || !is_header_value(*text))
        in.refuse(path, "must be a header's value: visible ASCII and single spaces between");
      one.value = *text;
    } else if (!value.is_null()) {
      in.refuse(path, "must be a text, or null to remove the header");
    }
    if (std::any_of(out.begin(), out.end(),
                    [&](const header_change& other) { return other.name == one.name; }))
      in.refuse(path, "is there twice");
    out.push_back(std::move(one));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

std::optional<redirect> read_redirect(field_reader& in) {
  const auto given = in.take({"redirect"});
  if (!given)
    return std::nullopt;
  redirect out;
  field_reader fields{*given.value, given.path + "."};
  if (const auto status = fields.number({"status"}, {.least = 301, .most = 308})) {
    out.status = static_cast<std::uint16_t>(*status);
    if (!is_redirect_status(out.status))
      fields.refuse(fields.path("status"), "must be 301, 302, 303, 307 or 308");
  }
  out.location = fields.text(
    {"location"}, {.max_bytes = 1024,
                   .required = true,
                   .accepts = is_location,
                   .form = "must be http://..., https://... or a path, in visible ASCII"});
  if (const auto e = fields.finish())
    in.absorb(*e);
  return out;
}

/// Fields that mean nothing where bytes are passed on as they come.
void check_tcp(field_reader& in, const ingress_route& route) {
  const auto refuse = [&](const char* field, bool given) {
    if (given)
      in.refuse(in.path(field), "is for routes of protocol http");
  };
  refuse("host", !route.host.empty());
  refuse("path", route.path != "/");
  refuse("path_match", route.match != path_match::prefix);
  refuse("strip_prefix", route.strip_prefix);
  refuse("add_prefix", !route.add_prefix.empty());
  refuse("headers", !route.headers.empty());
  refuse("request_headers", !route.request_headers.empty());
  refuse("response_headers", !route.response_headers.empty());
  refuse("redirect", route.redirect.has_value());
}

} // namespace

result<ingress_route> parse_ingress_route(const nlohmann::json& input,
                                          const service_directory& services) {
  field_reader in{input};
  ignore_server_fields(in);
  ingress_route out;
  out.name = in.text(
    {"name"},
    {.max_bytes = 100, .required = true, .accepts = is_service_name, .form = service_name_form});
  out.description = in.text({"description"}, {.max_bytes = most_prose});
  const auto earlier =
    input.is_object() && (input.contains("source_port") || input.contains("dest_service_id"));
  out.protocol = earlier ? route_protocol::tcp : route_protocol::http;
  if (const auto which = read_word(in, {"protocol"}, {"http", "tcp"}))
    out.protocol = static_cast<route_protocol>(*which);
  out.tls = read_route_tls(in);
  if (const auto port = in.number({"listen_port", "source_port"}, port_numbers))
    out.listen_port = static_cast<std::uint16_t>(*port);
  else if (out.protocol == route_protocol::tcp)
    in.refuse(in.path("listen_port"), "is required for a route of protocol tcp");
  else if (out.tls)
    out.listen_port = 443;
  out.host = read_host(in);
  if (auto path = read_path(in, {"path"}); !path.empty())
    out.path = std::move(path);
  if (const auto match = read_word(in, {"path_match"}, {"prefix", "exact"}))
    out.match = static_cast<path_match>(*match);
  out.backends = read_backends(in, services);
  if (const auto how =
        read_word(in, {"balancing"}, {"round_robin", "least_connections", "source_hash"}))
    out.balancing = static_cast<balancing>(*how);
  out.strip_prefix = in.boolean({"strip_prefix"}, out.strip_prefix);
  out.add_prefix = read_path(in, {"add_prefix"});
  out.headers = read_header_conditions(in);
  out.request_headers = read_header_changes(in, "request_headers");
  out.response_headers = read_header_changes(in, "response_headers");
  out.redirect = read_redirect(in);
  if (out.redirect && !out.response_headers.empty())
    in.refuse(in.path("response_headers"), "is for answers of backends: the route redirects");
  if (const auto retries = in.number({"retries"}, {.least = 0, .most = 10}))
    out.retries = static_cast<std::uint32_t>(*retries);
  if (const auto percent = in.number({"retry_budget"}, {.least = 0, .most = 100}))
    out.retry_budget = static_cast<std::uint32_t>(*percent);
  if (const auto seconds = in.number({"slow_start"}, {.least = 0, .most = 3600}))
    out.slow_start = std::chrono::seconds{static_cast<std::chrono::seconds::rep>(*seconds)};
  if (const auto bound = in.number({"max_requests"}, {.least = 1, .most = 1'000'000}))
    out.max_requests = static_cast<std::uint32_t>(*bound);
  out.active = in.boolean({"active", "is_active", "enabled"}, out.active);
  if (out.protocol == route_protocol::tcp)
    check_tcp(in, out);
  auto finished = in.finish();
  if (!finished && out.backends.empty() != out.redirect.has_value())
    return fail_field("backends", out.redirect ? "must be empty when the route redirects"
                                               : "must name at least one service");
  if (finished)
    return tl::unexpected(std::move(*finished));
  return out;
}

} // namespace marchproxy::model
