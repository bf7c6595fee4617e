// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/base/time.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace marchproxy::audit {

/// The ledger of what concerns no cluster: users, API keys, clusters coming and going.
constexpr std::string_view installation_ledger = "installation";

enum class actor_kind : std::uint8_t { user, api_key, automation, proxy, system };
[[nodiscard]] std::string_view to_string(actor_kind kind) noexcept;
[[nodiscard]] std::optional<actor_kind> parse_actor_kind(std::string_view name) noexcept;

struct actor {
  actor_kind kind = actor_kind::system;
  std::string id = {};
  std::string name = {}; ///< at that time

  bool operator==(const actor&) const = default;
};

struct resource {
  std::string type = {}; ///< `mapping`
  std::string id = {};
  std::string name = {};

  bool operator==(const resource&) const = default;
};

/// One link of a ledger's chain. bus-schemas/events/audit.record.v1.schema.json is its JSON.
struct record {
  std::string ledger;         ///< the cluster's name, or installation_ledger
  std::uint64_t sequence = 0; ///< 1, 2, 3, ... in its ledger
  time_point time;
  audit::actor actor;
  std::string source; ///< an address, or `bus`
  std::string action; ///< `mapping.create`
  audit::resource resource;
  marchproxy::revision revision; ///< 0: the change made none
  std::string outcome = "success";
  std::string before = {};        ///< canonical JSON (redacted_text), empty if there is none
  std::string after = {};         ///< as before
  std::string previous_hash = {}; ///< 64 lower-case hexadecimal digits
  std::string hash = {};          ///< as previous_hash

  bool operator==(const record&) const = default;
};

/// The bytes that are hashed: everything but `hash` (README.md has the format).
[[nodiscard]] std::string canonical(const record& of);
/// SHA-256 over previous_hash and canonical(), in hexadecimal.
[[nodiscard]] std::string hash_of(const record& of);
/// canonical() with `hash` as its last key: one line of an export, the data of the stream's event.
[[nodiscard]] std::string to_line(const record& of);

/// Strict: each key of the format once, none besides, in any order; texts and times in the one form
/// that to_line() writes.
/// @errors corrupt, with the reason
[[nodiscard]] result<record> parse_record(std::string_view line);

} // namespace marchproxy::audit
