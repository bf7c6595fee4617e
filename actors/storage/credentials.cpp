// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/mutation.hpp"
#include "actors/storage/ruleset_reader.hpp"
#include "actors/storage/store.hpp"

namespace marchproxy::storage {

namespace {

/// The service the credential is for, which must use its kind.
result<model::service> owner(mutation& m, cluster_id in, service_id id) {
  const auto found =
    m.exec("SELECT body FROM services WHERE cluster_id = $1 AND id = $2", {in, id});
  if (!found)
    return tl::unexpected(found.error());
  if (found->empty())
    return fail(errc::not_found, "no such service");
  return service_from(found->front().text(0), in, id);
}

std::string place(service_id of, std::string_view id) {
  return std::to_string(of.value) + "/" + std::string(id);
}

} // namespace

result<outcome>
store::add_credential(const change_context& by, cluster_id in, const model::credential& value) {
  const change_plan plan{.in = in, .action = "credential.add", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto service = owner(m, in, value.service);
    if (!service)
      return tl::unexpected(service.error());
    if (service->auth != value.kind)
      return fail_field("kind", "the service uses " + std::string(model::to_string(service->auth)));
    const auto taken = m.exec("SELECT 1 FROM credentials WHERE service_id = $1 AND id = $2",
                              {value.service, value.id});
    if (!taken)
      return tl::unexpected(taken.error());
    if (!taken->empty())
      return fail(errc::conflict, "the service has a credential of that id");
    const auto verifier = verifier_of(value, m.key());
    const auto made =
      m.exec("INSERT INTO credentials (service_id, id, kind, algorithm, verifier, sealed, "
             "expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
             {value.service, value.id, model::to_string(value.kind), value.algorithm,
              verifier.bytes, verifier.sealed, value.expires_at, m.by().at});
    m.about("credential", place(value.service, value.id), service->name);
    m.after(model::to_json(value));
    return expect_one(made, "credential");
  });
}

result<outcome> store::remove_credential(const change_context& by,
                                         cluster_id in,
                                         service_id of,
                                         std::string_view id) {
  const change_plan plan{.in = in, .action = "credential.remove", .revises = true};
  return change(by, plan, [&](mutation& m) -> result<void> {
    const auto service = owner(m, in, of);
    if (!service)
      return tl::unexpected(service.error());
    m.about("credential", place(of, id), service->name);
    return expect_one(m.exec("DELETE FROM credentials WHERE service_id = $1 AND id = $2", {of, id}),
                      "credential");
  });
}

result<std::vector<model::credential>> store::credentials(cluster_id in, service_id of) {
  const auto found =
    query("SELECT c.service_id, c.id, c.kind, c.algorithm, c.verifier, c.sealed, c.expires_at "
          "FROM credentials c JOIN services s ON s.id = c.service_id "
          "WHERE s.cluster_id = $1 AND c.service_id = $2 ORDER BY c.created_at, c.id",
          {in, of});
  if (!found)
    return tl::unexpected(found.error());
  std::vector<model::credential> out;
  for (const auto& one : found->list) {
    auto value = credential_from(one, key_);
    if (!value)
      return tl::unexpected(value.error());
    out.push_back(std::move(*value));
  }
  return out;
}

} // namespace marchproxy::storage
