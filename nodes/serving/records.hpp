// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/proxy/revision_engine.hpp"
#include "actors/proxy/verdict_feed.hpp"
#include "nodes/relay/decision.hpp"
#include "nodes/serving/decision_log.hpp"
#include "nodes/serving/settings.hpp"
#include "nodes/serving/verdict.hpp"

#include <atomic>
#include <memory>
#include <string>

namespace marchproxy::serving {

/// Where the relay's records go: to the log, to the decision lines, to the bus.
class record_sinks {
public:
  /// @errors unavailable when DECISION_LOG cannot be opened
  [[nodiscard]] static result<std::unique_ptr<record_sinks>> open(const node_settings& options);

  /// For the relay's reading thread.
  void take(const relay::decision_record& r);
  /// Whose program says which service a client belongs to. Any thread.
  void follow(std::shared_ptr<const proxy::revision_engine> engine) { engine_ = std::move(engine); }

  /// Null: none is written.
  [[nodiscard]] const decision_log* log() const noexcept { return log_.get(); }
  /// Null: none are told.
  [[nodiscard]] const std::shared_ptr<proxy::verdict_feed>& verdicts() const noexcept {
    return verdicts_;
  }

private:
  explicit record_sinks(const node_settings& options);

  std::unique_ptr<decision_log> log_;
  std::shared_ptr<proxy::verdict_feed> verdicts_;
  const told_verdicts told_;
  const std::string proxy_;
  std::atomic<std::shared_ptr<const proxy::revision_engine>> engine_; ///< null: not there yet
  client_services services_;
};

} // namespace marchproxy::serving
