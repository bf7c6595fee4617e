// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/model/ingress_route.hpp"
#include "actors/model/limits.hpp"
#include "actors/model/port_set.hpp"

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace marchproxy::model {

/// A DNS name in lower case without the final dot. A wildcard `*.example.org` stands for every name
/// below example.org with at least one more label, not for example.org itself.
struct dns_name {
  std::string name; ///< without the `*.`
  bool wildcard = false;

  auto operator<=>(const dns_name&) const = default;
};

/// Where a service is: an address, a CIDR, a name or a wildcard name (POL-1).
using service_address = std::variant<ip_prefix, dns_name>;

enum class protocol : std::uint8_t { tcp = 1, udp = 2, icmp = 4 };
/// A set of protocols, one bit each; 0 means "not restricted".
using protocol_set = std::uint8_t;
constexpr protocol_set any_protocol = 0;
constexpr std::array<protocol, 3> all_protocols{protocol::tcp, protocol::udp, protocol::icmp};
/// Whether @p set names @p which: false for any_protocol.
[[nodiscard]] constexpr bool has(protocol_set set, protocol which) noexcept {
  return (set & static_cast<protocol_set>(which)) != 0;
}

enum class auth_type : std::uint8_t { none, base64, jwt };
/// What a connection to a service begins with, so that the service hears who its client is (NET-6).
enum class proxy_header : std::uint8_t {
  off,
  v1, ///< of the PROXY protocol
  v2,
};
enum class mapping_action : std::uint8_t { deny = 0, allow = 1, bypass = 2 };
/// What becomes of the connections that a mapping has let in when a revision refuses them (POL-12).
enum class revocation : std::uint8_t {
  cut,    ///< they end at once
  drain,  ///< they end when some time is over
  finish, ///< they go on until they end by themselves
};
constexpr std::uint32_t usual_drain_seconds = 30;
constexpr std::uint32_t longest_drain_seconds = 86'400;

struct health_check {
  bool enabled = false;
  std::string path = "/";
  std::chrono::seconds interval{30};
  std::uint32_t healthy_threshold = 2;
  std::uint32_t unhealthy_threshold = 3;

  bool operator==(const health_check&) const = default;
};

struct cluster {
  cluster_id id;
  std::string name; ///< ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$, unique
  std::string description;
  std::uint32_t max_proxies = 0; ///< seats; 0 means no limit of its own
  bool observe = false;          ///< what its policy would refuse is let through and told (POL-8)

  bool operator==(const cluster&) const = default;
};

struct service {
  service_id id;
  cluster_id cluster;
  std::string name; ///< ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$, unique in the cluster
  std::string description;
  service_address address;
  port_set ports;
  protocol_set protocols = any_protocol;
  std::string collection; ///< empty or as name
  auth_type auth = auth_type::none;
  bool tls_enabled = false;
  bool tls_verify = true;
  health_check health;
  std::optional<std::uint16_t>
    listen_port; ///< egress nodes open a listener that forwards to this service (NET-1)
  bool active = true;
  std::optional<model::limits> limits = {}; ///< of what goes to it (POL-7)
  /// Of connections by its listener and by ingress routes.
  proxy_header proxy_protocol = proxy_header::off;

  bool operator==(const service&) const = default;
};

/// One side of a mapping: a service by id, every service of a collection, or `all`. As a source
/// `all` is any address, as a destination any address or name.
struct select_all {
  auto operator<=>(const select_all&) const = default;
};
struct select_collection {
  std::string name;
  auto operator<=>(const select_collection&) const = default;
};
using selector = std::variant<service_id, select_collection, select_all>;

struct mapping {
  mapping_id id;
  cluster_id cluster;
  std::string name;                   ///< may be empty
  std::vector<selector> sources;      ///< at least one; sorted, no duplicates
  std::vector<selector> destinations; ///< at least one; sorted, no duplicates
  protocol_set protocols = any_protocol;
  port_set ports;
  bool auth_required = false;
  std::uint32_t priority = 100; ///< 0..65535, the lowest wins (POL-3)
  std::string comment;
  bool active = true;
  mapping_action action = mapping_action::allow;
  bool allow_private =
    false; ///< names and `all` may reach private, loopback, link-local and metadata ranges (POL-6)
  std::optional<model::limits> limits = {}; ///< of what it allows (POL-7)
  bool observe = false; ///< what it would refuse is let through and told (POL-8)
  revocation when_revoked = revocation::cut;         ///< of what it allows
  std::uint32_t drain_seconds = usual_drain_seconds; ///< 1..86400; of `drain`

  bool operator==(const mapping&) const = default;
};

/// What a source service proves itself with where a mapping asks for it (IDN-3). Several may be
/// valid at once, so that they can be rotated with an overlap. `verifier` is what a proxy checks
/// with:
///   base64 -> lower-case hex of SHA-256 over the token as the client sends it
///   HS256 -> base64url of the shared secret (at least 32 bytes); RS256, ES256, EdDSA -> PEM public
///   key
struct credential {
  std::string id; ///< ^[A-Za-z0-9_-]{1,64}$, unique in the service; the JWT's `kid` when it has one
  service_id service;
  auth_type kind = auth_type::base64; ///< must equal the service's auth
  std::string algorithm; ///< empty for base64; the key is used with this algorithm and no other
  std::string verifier;
  std::optional<std::int64_t> expires_at; ///< seconds since the epoch

  bool operator==(const credential&) const = default;
};

/// Everything of one cluster that decides traffic, at one revision. Services, mappings and ingress
/// routes ascend by id.
struct ruleset {
  cluster_id cluster;
  std::string cluster_name;
  marchproxy::revision revision;
  std::vector<service> services;
  std::vector<mapping> mappings;
  std::vector<credential> credentials; ///< ascending by service, then id
  std::vector<ingress_route> ingress_routes = {};
  bool observe = false; ///< the cluster's: of every mapping, and of what no mapping allows (POL-8)

  bool operator==(const ruleset&) const = default;
};

/// What a selector's text or number may refer to. Implemented by storage and by tests.
class service_directory {
public:
  service_directory() = default;
  service_directory(const service_directory&) = delete;
  service_directory& operator=(const service_directory&) = delete;
  virtual ~service_directory() = default;
  /// The id of the service of that name in the cluster at hand.
  [[nodiscard]] virtual std::optional<service_id> find_by_name(std::string_view name) const = 0;
  [[nodiscard]] virtual bool exists(service_id id) const = 0;
  /// True when some service of the cluster is in that collection.
  [[nodiscard]] virtual bool collection_exists(std::string_view name) const = 0;
  /// The address of a service; nothing when it does not exist.
  [[nodiscard]] virtual std::optional<service_address> address_of(service_id id) const = 0;
  /// Unrestricted also when it does not exist.
  [[nodiscard]] virtual port_set ports_of(service_id id) const = 0;
};

/// One address, or a name that is no wildcard: somewhere to connect to.
[[nodiscard]] bool is_single_host(const service_address& address) noexcept;
/// The port of a set that has exactly one.
[[nodiscard]] std::optional<std::uint16_t> only_port(const port_set& ports) noexcept;

// Input. Each collects every bad field before it fails (error::fields), refuses unknown fields by
// name, and accepts the earlier MarchProxy's encodings (COMPAT-2): services as ids, names,
// {"type":"service","id"|"name":..},
// {"type":"collection","name":..}, "collection:NAME", "all", or one comma text of those; `ip_fqdn`
// for `address`; `port` for `ports`; `dest_services` for `destinations`, `source_services` for
// `sources`; `api_key` for base64; `is_active` for `active`; booleans as true/false only. `id`,
// `cluster_id`, `version`, `created_at`, `updated_at`, `created_by` in the input are accepted and
// ignored: they are the server's. A text of digits is an id before it is a name, so services are
// not named by digits alone, nor `all`.
[[nodiscard]] result<cluster> parse_cluster(const nlohmann::json& input);
[[nodiscard]] result<service> parse_service(const nlohmann::json& input);
/// Input {"id"?, "kind", "algorithm"?, "verifier", "expires_at"?}; the service comes from the path.
[[nodiscard]] result<credential> parse_credential(const nlohmann::json& input,
                                                  const service& owner);
/// @errors also: a selector that names nothing; a source service whose address is a name (a source
/// is recognised by
///         its address)
[[nodiscard]] result<mapping> parse_mapping(const nlohmann::json& input,
                                            const service_directory& services);
/// @errors also: a backend that names nothing, is at more than one address, or whose port is not
/// clear
[[nodiscard]] result<ingress_route> parse_ingress_route(const nlohmann::json& input,
                                                        const service_directory& services);
[[nodiscard]] result<service_address> parse_address(std::string_view text, std::string_view field);

/// RFC 7396 merge of @p patch into the canonical form @p current, for PATCH; parse the outcome
/// again. A field under an older name takes the place of today's.
[[nodiscard]] nlohmann::json merge_patch(nlohmann::json current, const nlohmann::json& patch);

// Canonical output: one form, every field present, ports as text, selectors as
// {"type":"service","id":7} |
// {"type":"collection","name":"db"} | {"type":"all"}, protocols as an array of names (empty = any).
[[nodiscard]] nlohmann::json to_json(const cluster& value);
[[nodiscard]] nlohmann::json to_json(const service& value);
[[nodiscard]] nlohmann::json to_json(const mapping& value);
[[nodiscard]] nlohmann::json to_json(const ingress_route& value);
/// Without the verifier: secrets are never returned.
[[nodiscard]] nlohmann::json to_json(const credential& value);
/// @param together  the word for limit_scope::together: `mapping` or `service`
[[nodiscard]] nlohmann::json to_json(const limits& value, std::string_view together);
[[nodiscard]] std::string to_string(const service_address& address);
[[nodiscard]] std::string_view to_string(mapping_action action) noexcept;
[[nodiscard]] std::string_view to_string(revocation what) noexcept;
[[nodiscard]] std::string_view to_string(auth_type type) noexcept;
[[nodiscard]] std::string_view to_string(proxy_header which) noexcept;
[[nodiscard]] std::string_view to_string(protocol which) noexcept;
/// `tcp`, `udp`, `icmp`; comma list for sets, `any` for 0.
[[nodiscard]] std::string to_string(protocol_set protocols);

/// The canonical bytes of a ruleset: what is hashed, signed, chunked and stored as a proxy's last
/// good revision.
[[nodiscard]] std::string encode(const ruleset& value);
/// Strict inverse of encode(). Fuzzed: these bytes come from the bus and from disk.
/// @errors corrupt, with the reason
[[nodiscard]] result<ruleset> decode_ruleset(std::string_view bytes);

/// Services whose collection matches, or the one service, or none for `all`; only active ones.
[[nodiscard]] std::vector<const service*> members(const ruleset& rules, const selector& which);

} // namespace marchproxy::model
