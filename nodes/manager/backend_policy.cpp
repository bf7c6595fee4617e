// SPDX-License-Identifier: AGPL-3.0-only
// Services, their credentials, and mappings.
#include "actors/crypto/digest.hpp"
#include "actors/crypto/random.hpp"
#include "nodes/manager/backend_changes.hpp"

namespace marchproxy::manager_node {

result<api::page>
backend::list_services(const api::caller&, cluster_id cluster, const api::query& q) {
  return page_of(q).and_then([&](const storage::page_request& which) {
    return store_->services(cluster, {filter_of(q, "name"), filter_of(q, "collection")}, which)
      .map([](const auto& found) { return page_of_rows(found); });
  });
}

result<api::row> backend::get_service(const api::caller&, cluster_id cluster, service_id service) {
  return store_->service(cluster, service).map([](const auto& found) { return row_of(found); });
}

result<api::change> backend::create_service(const api::caller& by,
                                            cluster_id cluster,
                                            const json& body,
                                            const api::change_options& how) {
  return create(
    cluster, model::parse_service(body), how,
    [&](const model::service& value) {
      return store_->create_service(context_of(by, how, body), value);
    },
    [&](service_id id) { return get_service(by, cluster, id); });
}

result<api::change> backend::update_service(const api::caller& by,
                                            cluster_id cluster,
                                            service_id service,
                                            const json& body,
                                            bool patch,
                                            const api::change_options& how) {
  return update(
    cluster, store_->service(cluster, service), body, patch, how,
    [](const json& whole) { return model::parse_service(whole); },
    [&](const model::service& value, std::optional<std::uint64_t> expected) {
      return store_->update_service(context_of(by), value, expected);
    },
    [&](service_id id) { return get_service(by, cluster, id); });
}

result<api::change> backend::delete_service(const api::caller& by,
                                            cluster_id cluster,
                                            service_id service,
                                            const api::change_options& how) {
  return store_->delete_service(context_of(by), cluster, service, how.if_match)
    .map([&](const storage::outcome& done) { return settle(cluster, done, {}, how); });
}

result<api::page> backend::list_credentials(const api::caller&,
                                            cluster_id cluster,
                                            service_id service,
                                            const api::query&) {
  return store_->credentials(cluster, service).map([](const auto& found) {
    api::page out;
    for (const auto& one : found)
      out.items.push_back(model::to_json(one));
    return out;
  });
}

result<api::change> backend::add_credential(const api::caller& by,
                                            cluster_id cluster,
                                            service_id service,
                                            const json& body,
                                            const api::change_options& how) {
  auto owner = store_->service(cluster, service);
  if (!owner)
    return tl::unexpected(owner.error());
  auto input = body;
  std::string token;
  if (input.is_object() && owner->value.auth == model::auth_type::base64
      && !input.contains("verifier")) {
    token = crypto::random_token(32);
    input["verifier"] = crypto::sha256_hex(token);
    if (!input.contains("kind"))
      input["kind"] = "base64";
  }
  if (input.is_object() && !input.contains("id"))
    input["id"] = crypto::random_token(9);
  auto value = model::parse_credential(input, owner->value);
  if (!value)
    return tl::unexpected(value.error());
  auto done = store_->add_credential(context_of(by, how, body), cluster, *value);
  if (!done)
    return tl::unexpected(done.error());
  api::row made{model::to_json(*value), 0};
  if (!token.empty() && !done->replayed)
    made.data["token"] = token;
  return settle(cluster, *done, std::move(made), how);
}

result<api::change> backend::delete_credential(const api::caller& by,
                                               cluster_id cluster,
                                               service_id service,
                                               const std::string& credential,
                                               const api::change_options& how) {
  return store_->remove_credential(context_of(by), cluster, service, credential)
    .map([&](const storage::outcome& done) { return settle(cluster, done, {}, how); });
}

result<api::page>
backend::list_mappings(const api::caller&, cluster_id cluster, const api::query& q) {
  return page_of(q).and_then([&](const storage::page_request& which) {
    return store_->mappings(cluster, {filter_of(q, "name"), std::nullopt}, which)
      .map([](const auto& found) { return page_of_rows(found); });
  });
}

result<api::row> backend::get_mapping(const api::caller&, cluster_id cluster, mapping_id mapping) {
  return store_->mapping(cluster, mapping).map([](const auto& found) { return row_of(found); });
}

result<api::change> backend::create_mapping(const api::caller& by,
                                            cluster_id cluster,
                                            const json& body,
                                            const api::change_options& how) {
  auto known = store_->directory(cluster);
  if (!known)
    return tl::unexpected(known.error());
  return create(
    cluster, model::parse_mapping(body, **known), how,
    [&](const model::mapping& value) {
      return store_->create_mapping(context_of(by, how, body), value);
    },
    [&](mapping_id id) { return get_mapping(by, cluster, id); });
}

result<api::change> backend::update_mapping(const api::caller& by,
                                            cluster_id cluster,
                                            mapping_id mapping,
                                            const json& body,
                                            bool patch,
                                            const api::change_options& how) {
  auto known = store_->directory(cluster);
  if (!known)
    return tl::unexpected(known.error());
  return update(
    cluster, store_->mapping(cluster, mapping), body, patch, how,
    [&](const json& whole) { return model::parse_mapping(whole, **known); },
    [&](const model::mapping& value, std::optional<std::uint64_t> expected) {
      return store_->update_mapping(context_of(by), value, expected);
    },
    [&](mapping_id id) { return get_mapping(by, cluster, id); });
}

result<api::change> backend::delete_mapping(const api::caller& by,
                                            cluster_id cluster,
                                            mapping_id mapping,
                                            const api::change_options& how) {
  return store_->delete_mapping(context_of(by), cluster, mapping, how.if_match)
    .map([&](const storage::outcome& done) { return settle(cluster, done, {}, how); });
}

} // namespace marchproxy::manager_node
