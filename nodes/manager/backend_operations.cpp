// SPDX-License-Identifier: AGPL-3.0-only
// Proxies, revisions, explain, audit.
#include "actors/policy/explain.hpp"
#include "nodes/api/explain_question.hpp"
#include "nodes/manager/backend.hpp"

#include <caf/scoped_actor.hpp>

#include <charconv>

namespace marchproxy::manager_node {

namespace {

json to_json(const storage::proxy_record& p) {
  return {{"id", std::to_string(p.id)},
          {"name", p.name},
          {"key", p.nkey},
          {"kind", p.kind},
          {"state", to_string(p.state)},
          {"hostname", p.hostname},
          {"version", p.version},
          {"addresses", p.addresses},
          {"tier", p.tier},
          {"revision", p.applied ? json(p.applied.value) : json(nullptr)},
          {"program_hash", p.applied_hash},
          {"enrolled_at", format_time(p.enrolled_at)},
          {"last_seen", format_time(p.last_seen)},
          {"status", json::parse(p.status, nullptr, false)}};
}

json to_json(const storage::revision_record& r) {
  auto time_or_null = [](const std::optional<time_point>& at) {
    return at ? json(format_time(*at)) : json(nullptr);
  };
  return {{"number", r.number.value},
          {"state", to_string(r.state)},
          {"reason", r.reason},
          {"created_at", format_time(r.created_at)},
          {"created_by", r.created_by},
          {"sha256", r.ruleset_hash},
          {"program_hash", r.program_hash},
          {"decided_at", time_or_null(r.decided_at)},
          {"decision_reason", r.decision_reason},
          {"outcome", r.outcome},
          {"proxies", {{"expected", r.expected}, {"applied", r.applied}}}};
}

result<std::uint64_t> proxy_number(const std::string& text) {
  std::uint64_t id = 0;
  auto [at, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (ec != std::errc{} || at != text.data() + text.size())
    return fail(errc::not_found, "no proxy '" + text + "'");
  return id;
}

} // namespace

result<api::page>
backend::list_proxies(const api::caller&, cluster_id cluster, const api::query& q) {
  return store_->proxies(cluster).map([&](const std::vector<storage::proxy_record>& found) {
    api::page out;
    auto state = filter_of(q, "state");
    auto kind = filter_of(q, "kind");
    auto name = filter_of(q, "name");
    for (const auto& p : found)
      if ((!state || to_string(p.state) == *state) && (!kind || p.kind == *kind)
          && (!name || p.name == *name))
        out.items.push_back(to_json(p));
    return out;
  });
}

result<api::row>
backend::get_proxy(const api::caller&, cluster_id cluster, const std::string& proxy) {
  return proxy_number(proxy).and_then([&](std::uint64_t id) {
    return store_->proxy(cluster, id).map([](const storage::proxy_record& p) {
      return api::row{to_json(p), 0};
    });
  });
}

result<void>
backend::revoke_proxy(const api::caller& by, cluster_id cluster, const std::string& proxy) {
  auto id = proxy_number(proxy);
  if (!id)
    return tl::unexpected(id.error());
  auto known = store_->proxy(cluster, *id);
  if (!known)
    return tl::unexpected(known.error());
  if (auto done = store_->end_proxy(context_of(by), cluster, *id, storage::proxy_state::revoked);
      !done)
    return tl::unexpected(done.error());
  if (auto done = trust_->revoke(cluster, known->nkey); !done)
    return done;
  caf::scoped_actor self{system_};
  self->send(hub_, manager::cluster_proxy_gone{cluster, known->nkey});
  return {};
}

result<api::page>
backend::list_revisions(const api::caller&, cluster_id cluster, const api::query& q) {
  return page_of(q).and_then([&](const storage::page_request& which) {
    return store_->revisions(cluster, which).map([](const auto& found) {
      api::page out;
      for (const auto& r : found.items)
        out.items.push_back(to_json(r));
      if (found.next != 0)
        out.next_cursor = std::to_string(found.next);
      return out;
    });
  });
}

result<api::row> backend::get_revision(const api::caller&, cluster_id cluster, revision number) {
  auto found = store_->revision_of(cluster, number);
  if (!found)
    return tl::unexpected(found.error());
  auto out = to_json(*found);
  if (auto bytes = found->content_kept ? store_->content(cluster, number) : result<std::string>{""};
      bytes && !bytes->empty()) {
    auto rules = model::decode_ruleset(*bytes);
    if (!rules)
      return tl::unexpected(rules.error());
    json services = json::array();
    json mappings = json::array();
    for (const auto& s : rules->services)
      services.push_back(model::to_json(s));
    for (const auto& m : rules->mappings)
      mappings.push_back(model::to_json(m));
    out["content"] = {{"services", services}, {"mappings", mappings}};
  } else {
    out["content"] = nullptr;
  }
  return api::row{std::move(out), 0};
}

result<api::change> backend::restore_revision(const api::caller& by,
                                              cluster_id cluster,
                                              revision number,
                                              const api::change_options& how) {
  auto done = store_->restore(context_of(by), cluster, number);
  if (!done)
    return tl::unexpected(done.error());
  auto made = store_->revision_of(cluster, done->revision);
  if (!made)
    return tl::unexpected(made.error());
  return settle(cluster, *done, {to_json(*made), 0}, how);
}

result<json> backend::explain(const api::caller&, cluster_id cluster, const json& body) {
  auto asked = api::read_explain_question(body);
  if (!asked)
    return tl::unexpected(asked.error());
  auto number = asked->at;
  if (!number) {
    auto last = store_->last_committed(cluster);
    if (!last)
      return tl::unexpected(last.error());
    if (!*last)
      return fail(errc::not_found, "no revision of this cluster is in force yet");
    number = (*last)->number;
  }
  auto bytes = store_->content(cluster, *number);
  if (!bytes)
    return tl::unexpected(bytes.error());
  auto rules = model::decode_ruleset(*bytes);
  if (!rules)
    return tl::unexpected(rules.error());
  auto program =
    policy::program::compile(std::make_shared<const model::ruleset>(std::move(*rules)));
  if (!program)
    return tl::unexpected(program.error());
  auto told = policy::explain(**program, asked->view());
  if (!told)
    return tl::unexpected(told.error());
  return policy::to_json(*told);
}

result<api::page> backend::list_audit(const api::caller&,
                                      const std::string& ledger,
                                      std::uint64_t after,
                                      std::size_t limit) {
  auto which = ledger.empty() ? std::string{storage::installation_ledger} : ledger;
  return store_->audit(which, after + 1, limit)
    .map([&](const std::vector<storage::audit_row>& found) {
      api::page out;
      for (const auto& row : found)
        out.items.push_back(json::parse(row.record, nullptr, false));
      if (found.size() == limit)
        out.next_cursor = std::to_string(found.back().sequence);
      return out;
    });
}

} // namespace marchproxy::manager_node
