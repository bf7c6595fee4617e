// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/strong_id.hpp"
#include "actors/rollout/coordinator.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace marchproxy::rollout {

/// A revision as announced: enough to fetch it and to know that it is the one meant.
struct announcement {
  marchproxy::revision revision;
  std::string sha256;       ///< of the ruleset's canonical bytes, 64 hex digits
  std::string program_hash; ///< of the compiled program, 64 hex digits
  std::uint64_t size = 0;   ///< bytes
  std::uint32_t chunks = 0;
  std::string signature; ///< Ed25519 by the cluster's policy key over signed_text(); 128 hex digits

  bool operator==(const announcement&) const = default;
};

/// What the manager signs: cluster, revision and both hashes, so that no part can be swapped.
[[nodiscard]] std::string signed_text(const std::string& cluster_name, const announcement& a);

// Events.
struct prepare_announced {
  announcement what;
};
struct commit_announced {
  marchproxy::revision revision;
};
struct abort_announced {
  marchproxy::revision revision;
};
struct active_seen { ///< the decision record, read when joining and by the poll
  announcement what;
};
struct staged { ///< fetched, verified, compiled, idle side of every tier filled, written to disk
  marchproxy::revision revision;
};
/// The ruleset could not be had from the bus. No refusal: the revision may be fine. The manager
/// announces it again to whoever is heard of, or tries the rollout again.
struct not_fetched {
  marchproxy::revision revision;
};
struct staging_failed {
  marchproxy::revision revision;
  std::string reason;
};
struct flipped { ///< the outcome of flip
  marchproxy::revision revision;
  bool ok = false;
  std::string reason;
};
using applier_event = std::variant<prepare_announced,
                                   commit_announced,
                                   abort_announced,
                                   active_seen,
                                   staged,
                                   not_fetched,
                                   staging_failed,
                                   flipped>;

// Effects.
struct stage {
  announcement what;
};
struct flip { ///< switch every tier to the staged revision, write it to disk as the active one
              ///< (fsync, rename)
  marchproxy::revision revision;
};
struct drop_staged {
  marchproxy::revision revision;
};
struct send_ack {
  ack_phase phase = ack_phase::prepared;
  marchproxy::revision revision;
  std::string reason;
};
using applier_effect = std::variant<stage, flip, drop_staged, send_ack>;

/// A proxy's side of the switch. Pure. The revision in force never goes back.
class applier {
public:
  /// @param active  the last good revision from disk, 0 for none
  explicit applier(marchproxy::revision active = {}) : active_(active) {}

  [[nodiscard]] std::vector<applier_effect> step(const applier_event& e);
  [[nodiscard]] marchproxy::revision active() const noexcept { return active_; }

private:
  std::vector<applier_effect> on(const prepare_announced& e);
  std::vector<applier_effect> on(const commit_announced& e);
  std::vector<applier_effect> on(const abort_announced& e);
  std::vector<applier_effect> on(const active_seen& e);
  std::vector<applier_effect> on(const staged& e);
  std::vector<applier_effect> on(const not_fetched& e);
  std::vector<applier_effect> on(const staging_failed& e);
  std::vector<applier_effect> on(const flipped& e);
  std::vector<applier_effect> begin(const announcement& what);

  marchproxy::revision active_;
  std::optional<announcement> staging_; ///< being fetched or ready
  bool ready_ = false;
  marchproxy::revision decided_; ///< newest revision known to be committed
  bool flipping_ = false;
  std::optional<announcement> next_; ///< announced while flipping; begun afterwards
};

} // namespace marchproxy::rollout
