// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/message.hpp"
#include "actors/proxy/revision_file.hpp"
#include "actors/rollout/applier.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace marchproxy::proxy {

/// An announced ruleset on its way, chunk by chunk, in any order. Holds foreign bytes and never
/// more of them than were announced; whether they are the ones meant is for verify() to say. Pure.
class ruleset_fetch {
public:
  explicit ruleset_fetch(rollout::announcement what);

  [[nodiscard]] const rollout::announcement& what() const noexcept { return what_; }
  /// The index of the chunk to ask for next; none when all were asked for, or after give_up().
  [[nodiscard]] std::optional<std::size_t> next() noexcept;
  /// @param index  one that next() gave, once
  /// @param reply  the answer to bus::direct_get_request
  /// @errors as bus::read_direct_reply; corrupt when there are more bytes than were announced
  [[nodiscard]] result<void> take(std::size_t index, const bus::message& reply);
  [[nodiscard]] bool whole() const noexcept { return missing_ == 0 && !over_; }
  /// The chunks joined. Only when whole(), and once.
  [[nodiscard]] stored_revision join();
  /// Nothing is asked for any more. @return false if it was over already: one failure is told, not
  /// one for each chunk that was under way
  bool give_up() noexcept { return !std::exchange(over_, true); }

private:
  rollout::announcement what_;
  std::vector<std::string> chunks_;
  std::uint64_t received_ = 0; ///< bytes
  std::size_t next_ = 0;
  std::size_t missing_ = 0;
  bool over_ = false;
};

} // namespace marchproxy::proxy
