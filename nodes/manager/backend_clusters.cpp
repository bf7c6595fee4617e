// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/streams.hpp"
#include "nodes/manager/backend.hpp"

#include <caf/scoped_actor.hpp>

#include <algorithm>
#include <cctype>

namespace marchproxy::manager_node {

result<api::page> backend::list_clusters(const api::caller& by, const api::query& q) {
  auto which = page_of(q);
  if (!which)
    return tl::unexpected(which.error());
  auto found = store_->clusters(*which);
  if (!found)
    return tl::unexpected(found.error());
  auto wanted = filter_of(q, "name");
  std::erase_if(found->items, [&](const auto& c) {
    return !api::may(by.who, api::permission::configuration_read, c.value.id)
           || (wanted && c.value.name != *wanted);
  });
  return page_of_rows(*found);
}

result<api::row> backend::get_cluster(const api::caller&, cluster_id cluster) {
  return store_->cluster(cluster).map([&](const auto& c) {
    auto out = row_of(c);
    json keys = json::array();
    for (const auto& key : trust_->keys(cluster))
      keys.push_back({{"id", key.id}, {"added", format_time(key.added)}});
    out.data["keys"] = keys;
    return out;
  });
}

result<api::change>
backend::create_cluster(const api::caller& by, const json& body, const api::change_options& how) {
  auto value = model::parse_cluster(body);
  if (!value)
    return tl::unexpected(value.error());
  auto done = store_->create_cluster(context_of(by, how, body), *value);
  if (!done)
    return tl::unexpected(done.error());
  auto id = cluster_id{done->id};
  auto stored = store_->cluster(id);
  if (!stored)
    return tl::unexpected(stored.error());
  auto resource = row_of(*stored);
  if (!done->replayed) {
    auto issued = trust_->add_cluster(id, value->name);
    if (!issued)
      return tl::unexpected(issued.error());
    auto kept = store_->add_join_key(context_of(by), id, issued->public_key, std::nullopt);
    if (!kept)
      return tl::unexpected(kept.error());
    resource.data["api_key"] = std::string{issued->text.expose()};
    caf::scoped_actor self{system_};
    self->send(hub_, manager::cluster_added{id, value->name});
  }
  return settle(id, storage::outcome{}, std::move(resource), how);
}

result<api::change> backend::update_cluster(const api::caller& by,
                                            cluster_id cluster,
                                            const json& body,
                                            bool patch,
                                            const api::change_options& how) {
  auto before = store_->cluster(cluster);
  if (!before)
    return tl::unexpected(before.error());
  auto value =
    model::parse_cluster(patch ? model::merge_patch(model::to_json(before->value), body) : body);
  if (!value)
    return tl::unexpected(value.error());
  value->id = cluster;
  auto done = store_->update_cluster(context_of(by), *value, how.if_match);
  if (!done)
    return tl::unexpected(done.error());
  auto after = get_cluster(by, cluster);
  if (!after)
    return tl::unexpected(after.error());
  return settle(cluster, *done, std::move(*after), how);
}

result<api::change>
backend::delete_cluster(const api::caller& by, cluster_id cluster, const api::change_options& how) {
  auto done = store_->delete_cluster(context_of(by), cluster, how.if_match);
  if (!done)
    return tl::unexpected(done.error());
  if (auto gone = trust_->remove_cluster(cluster); !gone)
    return tl::unexpected(gone.error());
  caf::scoped_actor self{system_};
  self->send(hub_, manager::cluster_removed{cluster});
  return settle(cluster_id{}, storage::outcome{}, {}, how);
}

result<json> backend::rotate_cluster_key(const api::caller& by,
                                         cluster_id cluster,
                                         std::chrono::seconds overlap) {
  auto former = trust_->keys(cluster);
  auto until = wall_now() + overlap;
  if (former.size() > 1 || overlap.count() == 0) {
    // Two at once is the most, and no overlap means that the old ones end now.
    auto keep = overlap.count() == 0 ? 0U : 1U;
    for (std::size_t i = 0; i + keep < former.size(); ++i)
      if (auto done = delete_cluster_key(by, cluster, former[i].id); !done)
        return tl::unexpected(done.error());
  }
  auto issued = trust_->issue_key(cluster);
  if (!issued)
    return tl::unexpected(issued.error());
  if (auto kept = store_->add_join_key(context_of(by), cluster, issued->public_key, std::nullopt);
      !kept)
    return tl::unexpected(kept.error());
  auto known = store_->join_keys(cluster);
  if (!known)
    return tl::unexpected(known.error());
  auto had_former = false;
  for (const auto& key : *known)
    if (key.public_key != issued->public_key && !key.retired_at) {
      had_former = true;
      if (auto done = store_->retire_join_key(context_of(by), cluster, key.id, until); !done)
        return tl::unexpected(done.error());
    }
  return json{{"id", issued->id},
              {"api_key", std::string{issued->text.expose()}},
              {"former_valid_until", had_former ? json(format_time(until)) : json(nullptr)}};
}

result<json> backend::create_bus_user(const api::caller& by, cluster_id cluster, const json& body) {
  auto role = body.is_object() ? body.value("role", json{}) : json{};
  if (role != "automation" && role != "siem")
    return fail_field("role", "must be automation or siem");
  auto name = body.value("name", json{});
  auto well_formed = [](const std::string& text) {
    return !text.empty() && text.size() <= 64
           && std::all_of(text.begin(), text.end(), [](unsigned char c) {
                return std::isalnum(c) != 0 || c == '-' || c == '_';
              });
  };
  if (!name.is_string() || !well_formed(name.get<std::string>()))
    return fail_field("name", "must have 1 to 64 letters, digits, - or _");
  auto valid = body.value("valid_seconds", json(365 * 24 * 3600));
  if (!valid.is_number_integer() || valid.get<std::int64_t>() < 60
      || valid.get<std::int64_t>() > 365LL * 24 * 3600)
    return fail_field("valid_seconds", "must be 60 to 31536000");
  auto who = role == "siem" ? bus::role::siem : bus::role::automation;
  auto user = bus::nkey::generate(bus::nkey_kind::user);
  auto minted = trust_->mint(cluster, who, user.public_key(), name.get<std::string>(),
                             std::chrono::seconds{valid.get<std::int64_t>()});
  if (!minted)
    return tl::unexpected(minted.error());
  if (who == bus::role::siem)
    if (auto done = make_audit_consumer(cluster, name.get<std::string>()); !done)
      return tl::unexpected(done.error());
  auto logged = store_->append_audit(
    context_of(by), cluster,
    {"bus_user.create", "bus_user", user.public_key(), name.get<std::string>(), "success",
     json{{"role", role}, {"expires_at", format_time(minted->expires)}}.dump()});
  if (!logged)
    return tl::unexpected(logged.error());
  auto seed = std::string{user.seed().expose()};
  return json{{"role", role},
              {"name", name},
              {"user", user.public_key()},
              {"jwt", minted->jwt},
              {"seed", seed},
              {"creds", "-----BEGIN NATS USER JWT-----\n" + minted->jwt
                          + "\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n"
                          + seed + "\n------END USER NKEY SEED------\n"},
              {"expires_at", format_time(minted->expires)}};
}

/// A SIEM may only pull from the consumer of its own name, which the manager makes (BUS-6).
result<void> backend::make_audit_consumer(cluster_id cluster, const std::string& name) {
  auto login = trust_->manager_login(cluster);
  if (!login)
    return tl::unexpected(login.error());
  auto link = bus::connection::open(std::move(*login));
  if (!link)
    return tl::unexpected(link.error());
  if (auto up = (*link)->wait_until_up(std::chrono::seconds{5}); !up)
    return up;
  return bus::ensure_pull_consumer(**link, "AUDIT", name, std::chrono::seconds{3});
}

result<void>
backend::delete_cluster_key(const api::caller& by, cluster_id cluster, const std::string& key_id) {
  auto all = trust_->keys(cluster);
  auto found =
    std::find_if(all.begin(), all.end(), [&](const bus::join_key& k) { return k.id == key_id; });
  if (found == all.end())
    return fail(errc::not_found, "the cluster has no key '" + key_id + "'");
  if (auto done = trust_->remove_key(cluster, key_id); !done)
    return done;
  auto known = store_->join_keys(cluster);
  if (!known)
    return tl::unexpected(known.error());
  for (const auto& key : *known)
    if (key.public_key == found->public_key)
      if (auto done = store_->retire_join_key(context_of(by), cluster, key.id, std::nullopt); !done)
        return tl::unexpected(done.error());
  return {};
}

} // namespace marchproxy::manager_node
