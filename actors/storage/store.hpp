// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/audit/chain.hpp"
#include "actors/base/error.hpp"
#include "actors/crypto/seal.hpp"
#include "actors/crypto/secret.hpp"
#include "actors/model/model.hpp"
#include "actors/storage/pool.hpp"
#include "actors/storage/records.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::storage {

class mutation;
struct change_plan;
using audit::installation_ledger;

/// Where the manager keeps everything: the truth that streams are rebuilt from.
///
/// Blocking and thread-safe; an actor calls it from a detached actor. A method that takes a
/// change_context is a change: one transaction checks preconditions, writes, counts the cluster's
/// revision up where the ruleset changes (storing its content), appends the audit record to its
/// ledger's chain and puts messages into the outbox; it is all there or nothing is. Changes of one
/// ledger are serialised. Transient faults are retried within, and a commit whose answer was lost
/// is looked up, so an error means that nothing happened (`timeout` excepted: not known).
///
/// Errors of all: unavailable, timeout, corrupt, internal; of changes also: invalid_argument for
/// text no database takes; conflict for a name in use, an idempotency key used for another request.
class store {
public:
  /// Opens, migrates. @p key seals secrets, shared secrets of credentials and contents of revisions
  /// at rest.
  [[nodiscard]] static result<std::unique_ptr<store>>
  open(const std::string& database_url, crypto::sealing_key key, pool::settings limits = {});

  // Clusters. A cluster's ledger is its name; what concerns no cluster is in
  // audit::installation_ledger, so no cluster may be called that. A cluster keeps its name: its
  // account, ledger and proxies know it by that.
  [[nodiscard]] result<outcome> create_cluster(const change_context& by,
                                               const model::cluster& value);
  [[nodiscard]] result<stored<model::cluster>> cluster(cluster_id id);
  [[nodiscard]] result<stored<model::cluster>> cluster_by_name(std::string_view name);
  [[nodiscard]] result<page<stored<model::cluster>>> clusters(page_request which);
  /// @errors not_found, precondition_failed if @p expected is given and is not the version
  [[nodiscard]] result<outcome> update_cluster(const change_context& by,
                                               const model::cluster& value,
                                               std::optional<std::uint64_t> expected);
  /// @errors conflict while it has services, mappings, ingress routes or proxies that are not
  /// retired
  [[nodiscard]] result<outcome>
  delete_cluster(const change_context& by, cluster_id id, std::optional<std::uint64_t> expected);

  // Services.
  [[nodiscard]] result<outcome> create_service(const change_context& by,
                                               const model::service& value);
  [[nodiscard]] result<stored<model::service>> service(cluster_id in, service_id id);
  [[nodiscard]] result<page<stored<model::service>>>
  services(cluster_id in, const service_filter& filter, page_request which);
  /// @errors not_found, precondition_failed; conflict if a mapping uses it as a source and its
  /// address becomes a name,
  ///         or if its auth changes while it has credentials of the old kind, or if an ingress
  ///         route leads to it and it is not at one address and port any more
  [[nodiscard]] result<outcome> update_service(const change_context& by,
                                               const model::service& value,
                                               std::optional<std::uint64_t> expected);
  /// @errors not_found, precondition_failed, conflict naming the mappings or ingress routes that
  /// use it
  [[nodiscard]] result<outcome> delete_service(const change_context& by,
                                               cluster_id in,
                                               service_id id,
                                               std::optional<std::uint64_t> expected);

  // Mappings.
  [[nodiscard]] result<outcome> create_mapping(const change_context& by,
                                               const model::mapping& value);
  [[nodiscard]] result<stored<model::mapping>> mapping(cluster_id in, mapping_id id);
  [[nodiscard]] result<page<stored<model::mapping>>>
  mappings(cluster_id in, const mapping_filter& filter, page_request which);
  [[nodiscard]] result<outcome> update_mapping(const change_context& by,
                                               const model::mapping& value,
                                               std::optional<std::uint64_t> expected);
  [[nodiscard]] result<outcome> delete_mapping(const change_context& by,
                                               cluster_id in,
                                               mapping_id id,
                                               std::optional<std::uint64_t> expected);
  // Ingress routes (POL-5).
  /// @errors conflict for a name, port, or host and path that another route has
  [[nodiscard]] result<outcome> create_ingress_route(const change_context& by,
                                                     const model::ingress_route& value);
  [[nodiscard]] result<stored<model::ingress_route>> ingress_route(cluster_id in,
                                                                   model::ingress_route_id id);
  [[nodiscard]] result<page<stored<model::ingress_route>>>
  ingress_routes(cluster_id in, const std::optional<std::string>& name, page_request which);
  [[nodiscard]] result<outcome> update_ingress_route(const change_context& by,
                                                     const model::ingress_route& value,
                                                     std::optional<std::uint64_t> expected);
  [[nodiscard]] result<outcome> delete_ingress_route(const change_context& by,
                                                     cluster_id in,
                                                     model::ingress_route_id id,
                                                     std::optional<std::uint64_t> expected);

  /// What model::parse_mapping and parse_ingress_route need, read once: names, ids, collections,
  /// addresses and ports of the cluster's services.
  [[nodiscard]] result<std::unique_ptr<model::service_directory>> directory(cluster_id in);

  // Credentials of a service (IDN-3).
  [[nodiscard]] result<outcome>
  add_credential(const change_context& by, cluster_id in, const model::credential& value);
  [[nodiscard]] result<outcome>
  remove_credential(const change_context& by, cluster_id in, service_id of, std::string_view id);
  /// With their verifiers.
  [[nodiscard]] result<std::vector<model::credential>> credentials(cluster_id in, service_id of);

  // Revisions and their rollouts.
  /// The ruleset as it is now, in canonical order, credentials included; its revision is the
  /// cluster's newest.
  [[nodiscard]] result<model::ruleset> ruleset_of(cluster_id in);
  [[nodiscard]] result<revision_record> revision_of(cluster_id in, marchproxy::revision number);
  /// Newest first. page_request::after is a revision: the page goes on below it.
  [[nodiscard]] result<page<revision_record>> revisions(cluster_id in, page_request which);
  [[nodiscard]] result<std::optional<revision_record>> latest(cluster_id in);
  [[nodiscard]] result<std::optional<revision_record>> last_committed(cluster_id in);
  /// The ruleset's canonical bytes. Small ones are kept for ever, large ones for the newest 50 and
  /// the last committed.
  /// @errors not_found, also once they are given up; corrupt if they are not those that were stored
  [[nodiscard]] result<std::string> content(cluster_id in, marchproxy::revision number);
  /// The durable decision: to be stored before any proxy is told. Pending revisions below a
  /// committed one become superseded. Deciding the same again is no change.
  /// @errors not_found; conflict if it was decided otherwise, or a newer one is committed
  [[nodiscard]] result<outcome> decide(const change_context& by,
                                       cluster_id in,
                                       marchproxy::revision number,
                                       revision_state decision,
                                       std::string_view reason);
  /// What became of a rollout, with its event.
  [[nodiscard]] result<outcome> finish_rollout(const change_context& by,
                                               cluster_id in,
                                               marchproxy::revision number,
                                               const rollout_result& what);
  /// Makes the services, mappings, credentials and ingress routes of an earlier revision the newest
  /// one.
  /// @errors not_found if its content is not kept
  [[nodiscard]] result<outcome>
  restore(const change_context& by, cluster_id in, marchproxy::revision number);

  // Proxies (MGR-3). Seats are those joined and active; @p seat_limit is of the whole installation,
  // 0 means none.
  /// A known name takes its row over, and its seat. @errors limit_reached; forbidden if the name
  /// was revoked;
  ///         conflict if the nkey is in use under another name
  [[nodiscard]] result<outcome>
  enrol(const change_context& by, const enrolment& who, std::uint64_t seat_limit);
  /// A stale proxy takes a seat again. @errors not_found, forbidden if revoked or retired,
  /// limit_reached
  [[nodiscard]] result<proxy_record>
  beat(const heartbeat& what, time_point now, std::uint64_t seat_limit);
  /// Marks as stale who was last seen before @p deadline, which frees its seat. @return who
  [[nodiscard]] result<std::vector<proxy_record>> mark_stale(time_point deadline);
  /// revoked or retired. @errors not_found
  [[nodiscard]] result<outcome>
  end_proxy(const change_context& by, cluster_id in, std::uint64_t id, proxy_state how);
  /// Forgets one that is revoked or retired, so that its name may enrol again. @errors not_found,
  /// conflict
  [[nodiscard]] result<outcome>
  delete_proxy(const change_context& by, cluster_id in, std::uint64_t id);
  [[nodiscard]] result<proxy_record> proxy(cluster_id in, std::uint64_t id);
  [[nodiscard]] result<proxy_record> proxy_by_key(std::string_view nkey);
  /// @p in 0: of all clusters.
  [[nodiscard]] result<std::vector<proxy_record>> proxies(cluster_id in);

  // Public halves of cluster keys (BUS-2); several may be valid at once.
  [[nodiscard]] result<outcome> add_join_key(const change_context& by,
                                             cluster_id in,
                                             std::string_view public_key,
                                             std::optional<time_point> expires_at);
  /// Sets when it ends (rotation with overlap), or ends it now (by.at).
  [[nodiscard]] result<outcome> retire_join_key(const change_context& by,
                                                cluster_id in,
                                                std::uint64_t id,
                                                std::optional<time_point> expires_at);
  [[nodiscard]] result<std::vector<join_key>> join_keys(cluster_id in);
  /// Whose key it is, if it is valid at @p now. @errors not_found
  [[nodiscard]] result<join_key> find_join_key(std::string_view public_key, time_point now);

  // Users (IDN-2).
  [[nodiscard]] result<outcome> create_user(const change_context& by, const user_record& value);
  [[nodiscard]] result<user_record> user(user_id id);
  [[nodiscard]] result<user_record> user_by_name(std::string_view name);
  [[nodiscard]] result<page<user_record>> users(page_request which);
  /// Name, active and roles of value.id. @errors not_found, precondition_failed
  [[nodiscard]] result<outcome> update_user(const change_context& by,
                                            const user_record& value,
                                            std::optional<std::uint64_t> expected);
  /// Ends the user's sessions too.
  [[nodiscard]] result<outcome> set_password(const change_context& by,
                                             user_id id,
                                             std::string_view password_hash,
                                             bool must_change);
  [[nodiscard]] result<outcome> delete_user(const change_context& by, user_id id);

  [[nodiscard]] result<void> create_session(const session_record& value);
  /// The session, if it has not expired at @p now. @errors not_found
  [[nodiscard]] result<session_record> session(std::string_view token_hash, time_point now);
  [[nodiscard]] result<void>
  touch_session(std::string_view token_hash, time_point now, time_point expires_at);
  [[nodiscard]] result<void> delete_session(std::string_view token_hash);
  /// Expired sessions, and idempotency keys and sent outbox rows from before @p keep_since. @return
  /// how many
  [[nodiscard]] result<std::uint64_t> purge(time_point now, time_point keep_since);

  [[nodiscard]] result<outcome> create_api_key(const change_context& by,
                                               const api_key_record& value);
  [[nodiscard]] result<std::vector<api_key_record>> api_keys(user_id of);
  /// Notes its use. @errors not_found, also once it expired
  [[nodiscard]] result<api_key_record> use_api_key(std::string_view key_hash, time_point now);
  [[nodiscard]] result<outcome>
  delete_api_key(const change_context& by, user_id of, std::uint64_t id);

  /// Failures of one subject (a user name, an address) since its last success.
  [[nodiscard]] result<throttle_record> throttle(std::string_view subject);
  /// Counts one more; those from before @p forget_before count no longer. Locks until @p lock_until
  /// from
  /// @p lock_after failures on.
  [[nodiscard]] result<throttle_record> note_failure(std::string_view subject,
                                                     time_point now,
                                                     time_point forget_before,
                                                     std::uint64_t lock_after,
                                                     time_point lock_until);
  [[nodiscard]] result<void> clear_throttle(std::string_view subject);

  // Audit (LOG-2).
  /// An event that changes no resource here. @p in 0: the installation's ledger.
  [[nodiscard]] result<outcome>
  append_audit(const change_context& by, cluster_id in, const audit_event& what);
  /// From @p first on, ascending, at most @p limit (and 1,000).
  [[nodiscard]] result<std::vector<audit_row>>
  audit(std::string_view ledger, std::uint64_t first, std::size_t limit);
  [[nodiscard]] result<audit::chain_head> audit_head_of(std::string_view ledger);
  [[nodiscard]] result<std::vector<std::string>> ledgers();

  // Outbox.
  /// The oldest unsent, in the order of each cluster.
  [[nodiscard]] result<std::vector<outbox_row>> unsent(std::size_t limit);
  [[nodiscard]] result<void> mark_sent(std::span<const std::uint64_t> ids, time_point now);

  // Secrets of the manager itself (signing keys and the like), sealed.
  [[nodiscard]] result<void>
  put_secret(std::string_view name, const crypto::secret& bytes, time_point now);
  /// Stores @p fresh unless there is one. @return the one that is stored, whichever manager was
  /// first
  [[nodiscard]] result<crypto::secret>
  secret_or(std::string_view name, const crypto::secret& fresh, time_point now);
  /// @errors not_found; corrupt if the key is another one
  [[nodiscard]] result<crypto::secret> get_secret(std::string_view name);

  [[nodiscard]] result<totals> counts();
  /// One round trip, for /healthz.
  [[nodiscard]] result<void> ping();

private:
  store(std::unique_ptr<pool> connections, crypto::sealing_key key)
    : connections_(std::move(connections)), key_(std::move(key)) {}

  /// Runs a change in its transaction, see mutation.hpp.
  [[nodiscard]] result<outcome> change(const change_context& by,
                                       const change_plan& plan,
                                       const std::function<result<void>(mutation&)>& work);
  /// One statement outside a change.
  [[nodiscard]] result<rows> query(statement sql, const parameters& values = {});

  std::unique_ptr<pool> connections_;
  crypto::sealing_key key_;
};

} // namespace marchproxy::storage
