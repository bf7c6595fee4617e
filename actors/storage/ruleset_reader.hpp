// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/crypto/seal.hpp"
#include "actors/model/model.hpp"
#include "actors/storage/sql.hpp"

#include <memory>
#include <string>

/// Rows to model values; for the sources of this room.
namespace marchproxy::storage {

/// Bodies were validated when they were stored; one that no longer parses is corrupt.
[[nodiscard]] result<model::cluster> cluster_from(const std::string& body, cluster_id id);
[[nodiscard]] result<model::service>
service_from(const std::string& body, cluster_id in, service_id id);
[[nodiscard]] result<model::mapping>
mapping_from(const std::string& body, cluster_id in, mapping_id id);

[[nodiscard]] result<model::ingress_route>
ingress_route_from(const std::string& body, cluster_id in, model::ingress_route_id id);

/// Columns service_id, id, kind, algorithm, verifier, sealed, expires_at.
[[nodiscard]] result<model::credential> credential_from(const row& columns,
                                                        const crypto::sealing_key& key);
/// The verifier as it is stored: shared secrets (HS256) are sealed.
struct stored_verifier {
  blob bytes;
  bool sealed = false;
};
[[nodiscard]] stored_verifier verifier_of(const model::credential& value,
                                          const crypto::sealing_key& key);

/// The cluster's ruleset as this transaction sees it, at the cluster's newest revision. @errors
/// not_found, corrupt
[[nodiscard]] result<model::ruleset>
read_ruleset(transaction& tx, cluster_id in, const crypto::sealing_key& key);

/// A directory of the services given.
[[nodiscard]] std::unique_ptr<model::service_directory>
directory_of(const std::vector<model::service>& services);

} // namespace marchproxy::storage
