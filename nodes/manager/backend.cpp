// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/manager/backend.hpp"

#include "actors/crypto/digest.hpp"

#include <caf/scoped_actor.hpp>

#include <charconv>

namespace marchproxy::manager_node {

backend::backend(caf::actor_system& system,
                 std::shared_ptr<storage::store> store,
                 std::shared_ptr<manager::authority> trust)
  : system_(system), store_(std::move(store)), trust_(std::move(trust)) {}

storage::change_context context_of(const api::caller& by) {
  storage::change_context out;
  out.actor_kind = by.who.kind;
  out.actor_id = by.who.id;
  out.actor_name = by.who.name;
  out.source = by.source;
  out.at = wall_now();
  return out;
}

storage::change_context
context_of(const api::caller& by, const api::change_options& how, const json& body) {
  auto out = context_of(by);
  if (!how.idempotency_key.empty())
    out.once = storage::idempotency{how.idempotency_key, crypto::sha256_hex(body.dump())};
  return out;
}

result<storage::page_request> page_of(const api::query& q) {
  storage::page_request out{q.limit, 0};
  if (q.cursor.empty())
    return out;
  const auto* end = q.cursor.data() + q.cursor.size();
  auto [at, ec] = std::from_chars(q.cursor.data(), end, out.after);
  if (ec != std::errc{} || at != end)
    return fail_field("cursor", "is not one that a page gave");
  return out;
}

std::optional<std::string> filter_of(const api::query& q, std::string_view name) {
  for (const auto& [key, value] : q.filters)
    if (key == name)
      return value;
  return std::nullopt;
}

api::change backend::settle(cluster_id cluster,
                            const storage::outcome& done,
                            api::row resource,
                            const api::change_options& how) {
  api::change out{std::move(resource), std::nullopt};
  caf::scoped_actor self{system_};
  self->send(hub_, manager::cluster_changed{cluster});
  if (!done.revision)
    return out;
  using state = api::rollout_state;
  out.rollout = api::rollout_outcome{done.revision.value, state::pending,
                                     "the rollout has not ended yet", 0, 0};
  if (how.wait.count() == 0)
    return out;
  self->request(hub_, how.wait, manager::cluster_await{cluster, done.revision})
    .receive(
      [&](const manager::rollout_report& report) {
        out.rollout->reason = report.reason;
        out.rollout->expected = static_cast<std::uint32_t>(report.expected);
        out.rollout->applied = static_cast<std::uint32_t>(report.applied);
        switch (report.outcome) {
        case rollout::outcome::in_force:
          out.rollout->state = state::in_force;
          break;
        case rollout::outcome::committed: // decided, but not yet applied everywhere
          break;
        case rollout::outcome::aborted:
          out.rollout->state = state::aborted;
          break;
        }
      },
      [](const caf::error&) {}); // not within the time given: pending
  return out;
}

result<api::cluster_ref> backend::find_cluster(const std::string& text) {
  std::uint64_t id = 0;
  auto [at, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
  auto found = ec == std::errc{} && at == text.data() + text.size()
                 ? store_->cluster(cluster_id{id})
                 : store_->cluster_by_name(text);
  return found.map([](const auto& c) { return api::cluster_ref{c.value.id, c.value.name}; });
}

std::vector<api::dependency_health> backend::health() {
  std::vector<api::dependency_health> out;
  auto stored = store_->ping();
  out.push_back({"database", stored.has_value(), stored ? "" : to_string(stored.error())});
  out.push_back({"bus", trust_->connected(),
                 trust_->connected() ? "" : "the system account's connection is down"});
  caf::scoped_actor self{system_};
  self->request(hub_, std::chrono::seconds{3}, manager::get_links{})
    .receive(
      [&](const manager::links& all) {
        for (const auto& [name, link] : all.by_name)
          out.push_back({"bus/" + name, link.up, link.reason});
      },
      [&](const caf::error&) {
        out.push_back({"actors", false, "the hub does not answer"});
      });
  return out;
}

result<json> backend::status(const api::caller& by) {
  auto counts = store_->counts();
  if (!counts)
    return tl::unexpected(counts.error());
  auto clusters = list_clusters(by, {.limit = 500, .cursor = "", .filters = {}});
  if (!clusters)
    return tl::unexpected(clusters.error());
  json list = json::array();
  for (const auto& c : clusters->items) {
    auto id = cluster_id{c.at("id").get<std::uint64_t>()};
    auto last = store_->last_committed(id);
    auto newest = store_->latest(id);
    auto proxies = store_->proxies(id);
    if (!last || !newest || !proxies)
      return fail(errc::unavailable, "the database does not answer");
    json seen = json::array();
    for (const auto& p : *proxies)
      seen.push_back({{"name", p.name},
                      {"kind", p.kind},
                      {"state", to_string(p.state)},
                      {"tier", p.tier},
                      {"revision", p.applied.value},
                      {"last_seen", format_time(p.last_seen)}});
    list.push_back({{"id", id.value},
                    {"name", c.at("name")},
                    {"observe", c.at("observe")},
                    {"revision", *last ? json((*last)->number.value) : json(nullptr)},
                    {"newest_revision", *newest ? json((*newest)->number.value) : json(nullptr)},
                    {"newest_state", *newest ? json(to_string((*newest)->state)) : json(nullptr)},
                    {"proxies", seen}});
  }
  return json{{"clusters", list},
              {"counts",
               {{"users", counts->users},
                {"clusters", counts->clusters},
                {"services", counts->services},
                {"mappings", counts->mappings},
                {"proxies", counts->proxies},
                {"outbox_unsent", counts->outbox_unsent}}}};
}

} // namespace marchproxy::manager_node
