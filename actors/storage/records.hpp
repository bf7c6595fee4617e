// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/strong_id.hpp"
#include "actors/base/time.hpp"
#include "actors/crypto/secret.hpp"
#include "actors/model/model.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What the store takes and gives besides the model's own types.
namespace marchproxy::storage {

/// A create that is repeated with the same key by the same actor answers what the first one did.
struct idempotency {
  std::string key;
  std::string request_hash; ///< of the request's body: the same key with another body is a conflict
};

/// Who changes something, from where and when: for the audit record (LOG-2).
struct change_context {
  std::string actor_kind = "system"; ///< a name of audit::actor_kind
  std::string actor_id = {};
  std::string actor_name = {};
  std::string source = {}; ///< an address, or "bus"
  time_point at;
  std::string reason = {}; ///< kept with the revision
  std::optional<storage::idempotency> once = {};
};

/// What a change came to.
struct outcome {
  std::uint64_t id = 0;          ///< of the resource; 0 where it has no number
  marchproxy::revision revision; ///< 0 if the change made none
  std::uint64_t sequence = 0;    ///< of its audit record in its ledger
  std::uint64_t version = 0;     ///< of the resource now, for If-Match; 0 once it is deleted
  bool replayed = false;         ///< answered from the idempotency key

  bool operator==(const outcome&) const = default;
};

template <class T>
struct stored {
  T value;
  std::uint64_t version = 0;
  time_point created_at;
  time_point updated_at;
};

struct page_request {
  std::size_t limit = 100; ///< at most 1,000 are given
  std::uint64_t after = 0; ///< the last id of the page before
};
template <class T>
struct page {
  std::vector<T> items;
  std::uint64_t next = 0; ///< for page_request::after; 0 on the last page
};

struct service_filter {
  std::optional<std::string> name = {};
  std::optional<std::string> collection = {};
};
struct mapping_filter {
  std::optional<std::string> name = {};
  std::optional<service_id> service = {}; ///< those that name this service
};

enum class proxy_state : std::uint8_t { joined, active, stale, revoked, retired };
[[nodiscard]] std::string_view to_string(proxy_state state) noexcept;

struct proxy_record {
  std::uint64_t id = 0;
  cluster_id cluster;
  std::string name;
  std::string nkey; ///< public user nkey
  std::string kind; ///< egress, ingress
  std::string version;
  std::string hostname;
  std::vector<std::string> addresses;
  proxy_state state = proxy_state::joined;
  std::string tier;
  marchproxy::revision applied;
  std::string applied_hash;
  std::string status = "{}"; ///< its last status message, JSON
  time_point enrolled_at;
  time_point last_seen;
};

struct enrolment {
  cluster_id cluster;
  std::string name;
  std::string nkey;
  std::string kind; ///< egress, ingress
  std::string version;
  std::string hostname;
  std::vector<std::string> addresses;
};

struct heartbeat {
  std::string nkey;
  std::string version;
  std::string tier;
  marchproxy::revision applied;
  std::string applied_hash;
  std::string status = "{}"; ///< JSON
  std::vector<std::string> addresses;
};

struct join_key {
  std::uint64_t id = 0;
  cluster_id cluster;
  std::string public_key;
  time_point created_at;
  std::optional<time_point> expires_at;
  std::optional<time_point> retired_at;
};

enum class revision_state : std::uint8_t { pending, committed, aborted, superseded };
[[nodiscard]] std::string_view to_string(revision_state state) noexcept;

struct revision_record {
  cluster_id cluster;
  marchproxy::revision number;
  time_point created_at;
  std::string created_by;
  std::string reason;
  revision_state state = revision_state::pending;
  std::string ruleset_hash; ///< SHA-256 of the content, hex
  std::string program_hash; ///< of the compiled program, once known
  std::optional<time_point> decided_at;
  std::string decision_reason;
  std::optional<time_point> finished_at; ///< end of its rollout
  std::string outcome;                   ///< of its rollout: in_force, committed, aborted
  std::uint64_t expected = 0;
  std::uint64_t applied = 0;
  bool content_kept = false;
};

/// How a rollout ended, for its revision's row and its event.
struct rollout_result {
  std::string outcome; ///< in_force, committed, aborted
  std::string program_hash;
  std::uint64_t expected = 0;
  std::uint64_t applied = 0;
};

/// Role names by cluster; key 0 means every cluster.
using role_map = std::map<cluster_id, std::vector<std::string>>;

struct user_record {
  user_id id;
  std::string name;
  std::string password_hash; ///< as crypto::hash_password makes it
  bool active = true;
  bool must_change = false; ///< the password was set by somebody else
  role_map roles;
  std::uint64_t version = 0;
  time_point created_at;
  time_point updated_at;
  std::optional<time_point> last_login;
};

struct session_record {
  std::string token_hash; ///< SHA-256 of the token, hex; the token itself is never stored
  user_id user;
  std::string csrf_hash;
  std::string source;
  time_point created_at;
  time_point last_seen;
  time_point expires_at;
};

struct api_key_record {
  std::uint64_t id = 0;
  user_id user;
  std::string name;
  std::string key_hash; ///< SHA-256 of the key, hex
  std::vector<std::string> scopes;
  time_point created_at;
  std::optional<time_point> expires_at;
  std::optional<time_point> last_used;
};

struct throttle_record {
  std::uint64_t failures = 0;
  time_point last_failure;
  std::optional<time_point> locked_until;
};

struct audit_event {
  std::string action; ///< as `session.login`
  std::string resource_type;
  std::string resource_id;
  std::string resource_name;
  std::string outcome = "success";
  std::string after = {}; ///< JSON or empty; never a secret
};

struct audit_row {
  std::string ledger;
  std::uint64_t sequence = 0;
  time_point at;
  std::string record; ///< as audit::to_line writes it
  std::string hash;
};

struct outbox_row {
  std::uint64_t id = 0; ///< ascending within a cluster; also the message's dedupe id
  cluster_id cluster;   ///< 0: the installation's own account
  std::string subject;
  std::string payload; ///< JSON: the `data` of the event (bus-schemas)
  time_point created_at;
};

struct totals {
  std::uint64_t users = 0;
  std::uint64_t clusters = 0;
  std::uint64_t services = 0;
  std::uint64_t mappings = 0;
  std::uint64_t proxies = 0; ///< that hold a seat
  std::uint64_t outbox_unsent = 0;
};

} // namespace marchproxy::storage
