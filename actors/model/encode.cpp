// SPDX-License-Identifier: AGPL-3.0-only
// The canonical bytes of a ruleset: JSON without spaces, keys in the order below, fields at their
// default left out, selectors as 7 | "collection:db" | "all". docs: actors/model/README.md
#include "actors/model/model.hpp"

#include <array>
#include <charconv>

namespace marchproxy::model {

namespace {

class writer {
public:
  explicit writer(std::size_t expected) { out_.reserve(expected); }

  writer& raw(std::string_view text) {
    out_.append(text);
    return *this;
  }

  template <class Integer>
  writer& number(Integer value) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    out_.append(digits.data(), end);
    return *this;
  }

  writer& text(std::string_view value) {
    constexpr std::string_view hex = "0123456789abcdef";
    out_ += '"';
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (byte < 0x20) {
        out_ += "\\u00";
        out_ += hex[byte >> 4];
        out_ += hex[byte & 15];
      } else {
        out_ += c;
      }
    }
    out_ += '"';
    return *this;
  }

  void text_unless_empty(std::string_view key, std::string_view value) {
    if (!value.empty())
      raw(key).text(value);
  }
  void number_unless(std::uint64_t otherwise, std::string_view key, std::uint64_t value) {
    if (value != otherwise)
      raw(key).number(value);
  }
  void flag_unless(bool otherwise, std::string_view key, bool value) {
    if (value != otherwise)
      raw(key).raw(value ? "true" : "false");
  }

  [[nodiscard]] std::string take() { return std::move(out_); }

private:
  std::string out_;
};

void write_protocols(writer& out, protocol_set protocols) {
  if (protocols != any_protocol)
    out.raw(",\"protocols\":").text(to_string(protocols));
}

void write_health(writer& out, const health_check& value) {
  const health_check usual;
  if (value == usual)
    return;
  out.raw(",\"health_check\":{\"enabled\":").raw(value.enabled ? "true" : "false");
  out.raw(",\"path\":").text(value.path);
  out.raw(",\"interval\":").number(value.interval.count());
  out.raw(",\"healthy_threshold\":").number(value.healthy_threshold);
  out.raw(",\"unhealthy_threshold\":").number(value.unhealthy_threshold).raw("}");
}

void write_rate(writer& out, std::string_view key, const std::optional<rate_limit>& limit) {
  if (!limit)
    return;
  out.raw(key).raw("{\"rate\":").number(limit->rate);
  out.number_unless(1, ",\"interval\":", limit->interval);
  out.raw(",\"burst\":").number(limit->burst).raw("}");
}

void write_limits(writer& out, const std::optional<limits>& value) {
  if (!value)
    return;
  out.raw(",\"limits\":{\"per\":\"")
    .raw(value->per == limit_scope::source ? "source\"" : "together\"");
  write_rate(out, ",\"connections\":", value->connections);
  out.number_unless(0, ",\"max_connections\":", value->max_connections.value_or(0));
  write_rate(out, ",\"requests\":", value->requests);
  write_rate(out, ",\"packets\":", value->packets);
  write_rate(out, ",\"bytes\":", value->bytes);
  out.raw("}");
}

void write_service(writer& out, const service& value) {
  out.raw("{\"id\":").number(value.id.value);
  out.raw(",\"name\":").text(value.name);
  out.raw(",\"address\":").text(to_string(value.address));
  out.text_unless_empty(",\"description\":", value.description);
  out.text_unless_empty(",\"ports\":", value.ports.text());
  write_protocols(out, value.protocols);
  out.text_unless_empty(",\"collection\":", value.collection);
  if (value.auth != auth_type::none)
    out.raw(",\"auth_type\":").text(to_string(value.auth));
  out.flag_unless(false, ",\"tls_enabled\":", value.tls_enabled);
  out.flag_unless(true, ",\"tls_verify\":", value.tls_verify);
  write_health(out, value.health);
  out.number_unless(0, ",\"listen_port\":", value.listen_port.value_or(0));
  out.flag_unless(true, ",\"active\":", value.active);
  write_limits(out, value.limits);
  if (value.proxy_protocol != proxy_header::off)
    out.raw(",\"proxy_protocol\":").text(to_string(value.proxy_protocol));
  out.raw("}");
}

void write_selectors(writer& out, std::string_view key, const std::vector<selector>& all) {
  out.raw(key).raw("[");
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i != 0)
      out.raw(",");
    if (const auto* id = std::get_if<service_id>(&all[i]))
      out.number(id->value);
    else if (const auto* collection = std::get_if<select_collection>(&all[i]))
      out.text("collection:" + collection->name);
    else
      out.text("all");
  }
  out.raw("]");
}

void write_mapping(writer& out, const mapping& value) {
  out.raw("{\"id\":").number(value.id.value);
  out.text_unless_empty(",\"name\":", value.name);
  write_selectors(out, ",\"sources\":", value.sources);
  write_selectors(out, ",\"destinations\":", value.destinations);
  write_protocols(out, value.protocols);
  out.text_unless_empty(",\"ports\":", value.ports.text());
  out.flag_unless(false, ",\"auth_required\":", value.auth_required);
  out.number_unless(100, ",\"priority\":", value.priority);
  out.text_unless_empty(",\"comment\":", value.comment);
  out.flag_unless(true, ",\"active\":", value.active);
  if (value.action != mapping_action::allow)
    out.raw(",\"action\":").text(to_string(value.action));
  out.flag_unless(false, ",\"allow_private\":", value.allow_private);
  write_limits(out, value.limits);
  out.flag_unless(false, ",\"observe\":", value.observe);
  if (value.when_revoked != revocation::cut)
    out.raw(",\"when_revoked\":").text(to_string(value.when_revoked));
  out.number_unless(usual_drain_seconds, ",\"drain_seconds\":", value.drain_seconds);
  out.raw("}");
}

void write_credential(writer& out, const credential& value) {
  out.raw("{\"service\":").number(value.service.value);
  out.raw(",\"id\":").text(value.id);
  out.raw(",\"kind\":").text(to_string(value.kind));
  out.text_unless_empty(",\"algorithm\":", value.algorithm);
  out.raw(",\"verifier\":").text(value.verifier);
  if (value.expires_at)
    out.raw(",\"expires_at\":").number(*value.expires_at);
  out.raw("}");
}

void write_backends(writer& out, const std::vector<ingress_backend>& all) {
  if (all.empty())
    return;
  out.raw(",\"backends\":[");
  for (std::size_t i = 0; i < all.size(); ++i) {
    out.raw(i == 0 ? "{\"service\":" : ",{\"service\":").number(all[i].service.value);
    out.number_unless(0, ",\"port\":", all[i].port);
    out.number_unless(1, ",\"weight\":", all[i].weight);
    out.flag_unless(false, ",\"draining\":", all[i].draining);
    out.raw("}");
  }
  out.raw("]");
}

void write_header_changes(writer& out,
                          std::string_view key,
                          const std::vector<header_change>& all) {
  if (all.empty())
    return;
  out.raw(key);
  for (std::size_t i = 0; i < all.size(); ++i) {
    out.raw(i == 0 ? "{\"name\":" : ",{\"name\":").text(all[i].name);
    if (all[i].value)
      out.raw(",\"value\":").text(*all[i].value);
    out.raw("}");
  }
  out.raw("]");
}

void write_header_conditions(writer& out, const std::vector<header_condition>& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    out.raw(i == 0 ? ",\"headers\":[{\"name\":" : ",{\"name\":").text(all[i].name);
    if (all[i].test == header_test::absent)
      out.raw(",\"absent\":true");
    else if (all[i].test != header_test::present)
      out.raw(",\"").raw(to_string(all[i].test)).raw("\":").text(all[i].text);
    out.raw("}");
  }
  if (!all.empty())
    out.raw("]");
}

void write_texts(writer& out, std::string_view key, const std::vector<std::string>& all) {
  for (std::size_t i = 0; i < all.size(); ++i)
    out.raw(i == 0 ? key : ",").text(all[i]);
  if (!all.empty())
    out.raw("]");
}

void write_tls(writer& out, const route_tls& value) {
  out.raw(",\"tls\":{");
  if (const auto& clients = value.client_certificates) {
    out.raw("\"client_certificates\":{");
    write_texts(out, "\"common_names\":[", clients->common_names);
    const bool more = !clients->common_names.empty();
    write_texts(out, more ? ",\"dns_names\":[" : "\"dns_names\":[", clients->dns_names);
    write_texts(out, more || !clients->dns_names.empty() ? ",\"uris\":[" : "\"uris\":[",
                clients->uris);
    out.raw("}");
  }
  out.raw("}");
}

void write_ingress_route(writer& out, const ingress_route& value) {
  const ingress_route usual;
  out.raw("{\"id\":").number(value.id.value);
  out.raw(",\"name\":").text(value.name);
  out.text_unless_empty(",\"description\":", value.description);
  if (value.protocol != usual.protocol)
    out.raw(",\"protocol\":").text(to_string(value.protocol));
  out.number_unless(usual.listen_port, ",\"listen_port\":", value.listen_port);
  out.text_unless_empty(",\"host\":", value.host);
  if (value.path != usual.path)
    out.raw(",\"path\":").text(value.path);
  if (value.match != usual.match)
    out.raw(",\"path_match\":").text(to_string(value.match));
  write_header_conditions(out, value.headers);
  write_backends(out, value.backends);
  if (value.balancing != usual.balancing)
    out.raw(",\"balancing\":").text(to_string(value.balancing));
  out.flag_unless(false, ",\"strip_prefix\":", value.strip_prefix);
  out.text_unless_empty(",\"add_prefix\":", value.add_prefix);
  write_header_changes(out, ",\"request_headers\":[", value.request_headers);
  write_header_changes(out, ",\"response_headers\":[", value.response_headers);
  if (value.redirect) {
    out.raw(",\"redirect\":{\"status\":").number(value.redirect->status);
    out.raw(",\"location\":").text(value.redirect->location).raw("}");
  }
  if (value.tls)
    write_tls(out, *value.tls);
  out.number_unless(usual.retries, ",\"retries\":", value.retries);
  out.number_unless(usual.retry_budget, ",\"retry_budget\":", value.retry_budget);
  out.number_unless(0, ",\"slow_start\":", static_cast<std::uint64_t>(value.slow_start.count()));
  out.number_unless(usual.max_requests, ",\"max_requests\":", value.max_requests);
  out.flag_unless(true, ",\"active\":", value.active);
  out.raw("}");
}

template <class Values, class Write>
void write_array(writer& out, std::string_view key, const Values& values, Write write) {
  out.raw(key).raw("[");
  bool first = true;
  for (const auto& value : values) {
    if (!first)
      out.raw(",");
    first = false;
    write(out, value);
  }
  out.raw("]");
}

} // namespace

std::string encode(const ruleset& value) {
  writer out{256 + 256 * value.services.size() + 96 * value.mappings.size()
             + 256 * value.credentials.size() + 256 * value.ingress_routes.size()};
  out.raw("{\"format\":1,\"cluster\":").number(value.cluster.value);
  out.raw(",\"cluster_name\":").text(value.cluster_name);
  out.raw(",\"revision\":").number(value.revision.value);
  out.flag_unless(false, ",\"observe\":", value.observe);
  write_array(out, ",\"services\":", value.services, write_service);
  write_array(out, ",\"mappings\":", value.mappings, write_mapping);
  write_array(out, ",\"credentials\":", value.credentials, write_credential);
  if (!value.ingress_routes.empty())
    write_array(out, ",\"ingress_routes\":", value.ingress_routes, write_ingress_route);
  out.raw("}");
  return out.take();
}

} // namespace marchproxy::model
