// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/strong_id.hpp"
#include "actors/base/time.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace marchproxy::rollout {

/// A proxy by its public user nkey.
using proxy_key = std::string;

/// What a proxy answers (subject mp.v1.proxy.<key>.ack).
enum class ack_phase : std::uint8_t { prepared, refused, applied };

// Events.
struct start {
  marchproxy::revision revision;
  std::set<proxy_key> expected; ///< proxies whose lease is alive
};
struct ack {
  proxy_key proxy;
  ack_phase phase = ack_phase::prepared;
  marchproxy::revision revision;
  std::string reason; ///< of a refusal
};
/// A sign of life; one that has not prepared may have missed the announcement while the bus or the
/// manager was away.
struct heard {
  proxy_key proxy;
};
struct left { ///< lease ended, revoked or retired: no longer waited for
  proxy_key proxy;
};
struct decision_stored { ///< the answer to store_decision; ok=false aborts
  marchproxy::revision revision;
  bool ok = false;
};
struct tick {};
using event = std::variant<start, ack, heard, left, decision_stored, tick>;

// Effects, to be carried out in order.
struct announce_prepare {
  marchproxy::revision revision;
};
struct store_decision { ///< durably, before any proxy is told
  marchproxy::revision revision;
};
struct announce_commit {
  marchproxy::revision revision;
};
struct announce_abort {
  marchproxy::revision revision;
  std::string reason;
};
enum class outcome : std::uint8_t {
  in_force,  ///< committed, and every expected proxy applied it
  committed, ///< committed, but some proxies have not said so in time; they converge by their poll
  aborted,   ///< the old revision stays in force everywhere
};
struct finished {
  marchproxy::revision revision;
  rollout::outcome outcome = rollout::outcome::aborted;
  std::size_t expected = 0;
  std::size_t applied = 0;
  std::string reason; ///< of an abort, or who is late
};
/// An attempt ended because somebody did not answer in time. Nothing is decided: a start of the
/// same revision is accepted again after the wait, one of a newer revision at once.
struct postponed {
  marchproxy::revision revision;
  std::chrono::milliseconds wait{};
  std::string reason;
};
using effect = std::
  variant<announce_prepare, store_decision, announce_commit, announce_abort, finished, postponed>;

struct limits {
  std::chrono::milliseconds prepare{5000}; ///< from announcement to the last PREPARED
  std::chrono::milliseconds commit{3000};  ///< from the decision to the last APPLIED
  /// How often silence is forgiven a revision, and the waits between: doubled from the first to the
  /// last. A refusal is a decision and is never tried again.
  unsigned retries = 6;
  std::chrono::milliseconds first_wait{1000};
  std::chrono::milliseconds last_wait{30'000};
};

/// Two-phase switch of one cluster, one revision at a time (ACC-7, BUS-4 without canary). Pure: no
/// clock, no bus.
class coordinator {
public:
  explicit coordinator(limits bounds = {}) : limits_(bounds) {}

  /// @param now  monotonic from call to call
  [[nodiscard]] std::vector<effect> step(const event& e, time_point now);

  /// A start while busy is ignored, so the caller keeps the newest revision back.
  [[nodiscard]] bool busy() const noexcept { return phase_ != phase::idle; }
  /// The postponed revision whose wait is not over at @p now, 0 for none. A start of it is ignored.
  [[nodiscard]] marchproxy::revision held_back(time_point now) const noexcept;

private:
  enum class phase : std::uint8_t { idle, preparing, deciding, committing };

  std::vector<effect> on(const start& e, time_point now);
  std::vector<effect> on(const ack& e, time_point now);
  std::vector<effect> on(const heard& e, time_point now);
  std::vector<effect> on(const left& e, time_point now);
  std::vector<effect> on(const decision_stored& e, time_point now);
  std::vector<effect> on(const tick& e, time_point now);
  std::vector<effect> abort(std::string reason);
  std::vector<effect> postpone(std::string reason, time_point now);
  std::vector<effect> advance();
  [[nodiscard]] std::string missing(const std::set<proxy_key>& have) const;

  limits limits_;
  phase phase_ = phase::idle;
  marchproxy::revision revision_;
  std::set<proxy_key> expected_;
  std::set<proxy_key> prepared_;
  std::set<proxy_key> applied_;
  time_point deadline_;
  unsigned silences_ = 0; ///< attempts of revision_ that ended because somebody was silent
  time_point next_attempt_;
};

} // namespace marchproxy::rollout
