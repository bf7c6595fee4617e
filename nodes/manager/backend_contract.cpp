// SPDX-License-Identifier: AGPL-3.0-only
// What the proxies of the earlier MarchProxy call (COMPAT-1), and the requests of automation on the
// bus (BUS-5).
#include "actors/contracts/events.hpp"
#include "actors/crypto/digest.hpp"
#include "nodes/manager/backend.hpp"

namespace marchproxy::manager_node {

namespace {

storage::change_context by_proxy(const std::string& name, const std::string& source) {
  storage::change_context out;
  out.actor_kind = "proxy";
  out.actor_name = name;
  out.source = source;
  out.at = wall_now();
  return out;
}

/// A proxy that speaks only the old contract has no bus key; this stands for it in the table of
/// proxies.
std::string legacy_key(const api::cluster_ref& cluster, const std::string& name) {
  return "legacy-" + crypto::sha256_hex(cluster.name + "/" + name).substr(0, 32);
}

result<std::string> name_in(const json& body) {
  for (const auto* field : {"name", "proxy_name"})
    if (auto found = body.is_object() ? body.find(field) : body.end();
        body.is_object() && found != body.end())
      if (found->is_string() && !found->get_ref<const std::string&>().empty()
          && found->get_ref<const std::string&>().size() <= 100)
        return found->get<std::string>();
  return fail_field("name", "must be a text of 1 to 100 bytes");
}

std::string text_or(const json& body, const char* field, const char* otherwise) {
  auto found = body.find(field);
  return found != body.end() && found->is_string() ? found->get<std::string>().substr(0, 255)
                                                   : otherwise;
}

bus_schemas::request_reply refusal(const error& why) {
  bus_schemas::request_reply out;
  out.ok = false;
  bus_schemas::request_reply::error_value told;
  told.code = to_string(why.code);
  told.message = why.message;
  if (!why.fields.empty()) {
    told.details.emplace();
    for (const auto& f : why.fields)
      told.details->push_back({f.field, f.message});
  }
  out.error = std::move(told);
  return out;
}

bus_schemas::request_reply answer(const api::change& done) {
  bus_schemas::request_reply out;
  out.ok = true;
  if (!done.resource.data.is_null())
    out.data = bus_schemas::raw_json{done.resource.data.dump()};
  if (done.rollout) {
    out.revision = done.rollout->revision;
    out.in_force = done.rollout->state == api::rollout_state::in_force;
    if (!done.rollout->reason.empty())
      out.reason = done.rollout->reason;
  }
  return out;
}

} // namespace

result<api::cluster_ref> backend::find_cluster_key(const std::string& key) {
  auto parsed = bus::parse_cluster_api_key(crypto::secret{key});
  if (!parsed)
    return fail(errc::unauthenticated, "not a cluster key");
  auto found = store_->find_join_key(bus::join_public_key(*parsed), wall_now());
  if (!found)
    return found.error().code == errc::not_found
             ? fail(errc::unauthenticated, "unknown or expired cluster key")
             : tl::unexpected(found.error());
  return store_->cluster(found->cluster).map([](const auto& c) {
    return api::cluster_ref{c.value.id, c.value.name};
  });
}

result<json> backend::register_proxy(const api::cluster_ref& cluster,
                                     const json& body,
                                     const std::string& source) {
  auto name = name_in(body);
  if (!name)
    return tl::unexpected(name.error());
  storage::enrolment who{cluster.id,
                         *name,
                         legacy_key(cluster, *name),
                         text_or(body, "proxy_type", "egress"),
                         text_or(body, "version", ""),
                         text_or(body, "hostname", ""),
                         {}};
  if (who.kind != "ingress")
    who.kind = "egress";
  auto done = store_->enrol(by_proxy(*name, source), who, 0);
  if (!done)
    return tl::unexpected(done.error());
  return json{{"success", true},
              {"proxy_id", done->id},
              {"cluster_id", cluster.id.value},
              {"cluster", cluster.name},
              {"name", *name}};
}

result<json>
backend::heartbeat(const api::cluster_ref& cluster, const json& body, const std::string& source) {
  auto name = name_in(body);
  if (!name)
    return tl::unexpected(name.error());
  static_cast<void>(source);
  storage::heartbeat beat;
  beat.nkey = legacy_key(cluster, *name);
  beat.version = text_or(body, "version", "");
  auto done = store_->beat(beat, wall_now(), 0);
  if (!done)
    return tl::unexpected(done.error());
  return json{{"success", true}, {"proxy_id", done->id}, {"state", to_string(done->state)}};
}

result<json> backend::proxy_configuration(const api::cluster_ref& cluster) {
  auto last = store_->last_committed(cluster.id);
  if (!last)
    return tl::unexpected(last.error());
  json services = json::array();
  json mappings = json::array();
  std::uint64_t number = 0;
  if (*last) {
    number = (*last)->number.value;
    auto bytes = store_->content(cluster.id, (*last)->number);
    if (!bytes)
      return tl::unexpected(bytes.error());
    auto rules = model::decode_ruleset(*bytes);
    if (!rules)
      return tl::unexpected(rules.error());
    for (const auto& s : rules->services)
      services.push_back(model::to_json(s));
    for (const auto& m : rules->mappings)
      mappings.push_back(model::to_json(m));
  }
  return json{{"cluster", {{"id", cluster.id.value}, {"name", cluster.name}}},
              {"version", number},
              {"services", services},
              {"mappings", mappings}};
}

result<json> backend::license_status() {
  auto counts = store_->counts();
  if (!counts)
    return tl::unexpected(counts.error());
  return json{{"release_mode", false},
              {"edition", "development"},
              {"proxies", counts->proxies},
              {"max_proxies", nullptr}};
}

result<json> backend::validate_license(const json& body) {
  auto key = body.is_object() ? text_or(body, "license_key", "") : "";
  return json{{"valid", true},
              {"release_mode", false},
              {"license_key_given", !key.empty()},
              {"message", "development mode: every feature is on and no licence is checked"}};
}

std::string backend::answer_request(cluster_id cluster, const std::string& bytes) {
  auto name = store_->cluster(cluster);
  auto source = contracts::manager_source(name ? name->value.name : "unknown");
  auto reply = [&](const bus_schemas::request_reply& r) {
    return contracts::make_event(source, r, wall_now());
  };
  auto read = bus_schemas::decode_event<bus_schemas::request_mapping>(bytes);
  if (!read)
    return reply(refusal(read.error()));
  const auto& asked = read->data;
  auto who = find_api_key(asked.api_key);
  if (!who)
    return reply(refusal(who.error()));
  if (!api::may(*who, api::permission::configuration_write, cluster))
    return reply(
      refusal({errc::forbidden, "this API key may not change mappings of this cluster", {}}));
  who->kind = "automation";
  api::caller by{*who, "bus", read->head.id};
  api::change_options how;
  how.wait = std::chrono::seconds{asked.wait_seconds.value_or(5)};
  how.if_match = asked.if_match;
  how.idempotency_key = asked.idempotency_key.value_or("");
  auto body = asked.body ? json::parse(asked.body->text, nullptr, false) : json{};
  using op = bus_schemas::request_mapping::op_value;
  if (asked.op != op::create && !asked.id)
    return reply(
      refusal({errc::invalid_argument, "data.id: is required", {{"data.id", "is required"}}}));
  if (asked.op != op::delete_ && !body.is_object())
    return reply(
      refusal({errc::invalid_argument, "data.body: is required", {{"data.body", "is required"}}}));
  auto id = mapping_id{asked.id.value_or(0)};
  auto done = asked.op == op::create   ? create_mapping(by, cluster, body, how)
              : asked.op == op::update ? update_mapping(by, cluster, id, body, true, how)
                                       : delete_mapping(by, cluster, id, how);
  return reply(done ? answer(*done) : refusal(done.error()));
}

} // namespace marchproxy::manager_node
