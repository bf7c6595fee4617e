// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/lease_table.hpp"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

namespace marchproxy::net {

/// What the resolvers of a process learnt, together: one asks, all know. Each has a table of its
/// own before this, so that its lock is taken where otherwise a name server would be asked, and
/// after an answer. Any thread.
class lease_store {
public:
  explicit lease_store(lease_terms terms) : terms_(terms), leases_(terms.most_names) {}
  lease_store(const lease_store&) = delete;
  lease_store& operator=(const lease_store&) = delete;
  ~lease_store() = default;

  [[nodiscard]] const lease_terms& terms() const noexcept { return terms_; }
  /// A lease that has not ended.
  [[nodiscard]] std::optional<lease> find(std::string_view name, clock::time_point now);
  /// One that may have ended, but not for longer than the terms' stale time.
  [[nodiscard]] std::optional<lease> find_ended(std::string_view name, clock::time_point now);
  void put(std::string_view name, const lease& what);
  /// The name servers say that it has no address any more.
  void forget(std::string_view name);

  /// All that may still serve, the one unused for longest first; others are dropped.
  [[nodiscard]] std::vector<named_lease> take_stock(clock::time_point now);
  /// Takes back what take_stock() gave to an earlier process. A lease serves for as long as its
  /// end by wall clock says, and never longer than the terms' longest.
  /// @return how many had not ended for too long
  std::size_t restore(const std::vector<named_lease>& kept, clock::time_point now, time_point wall);

  /// Counts the changes. Waits for another than @p seen. @return the number now
  [[nodiscard]] std::uint64_t wait_for_change(std::uint64_t seen, const std::stop_token& stop);
  [[nodiscard]] std::uint64_t changes() const;
  /// Names whose leases have not ended.
  [[nodiscard]] std::uint64_t count(clock::time_point now) const;
  /// Names that went for others, since there are at most so many.
  [[nodiscard]] std::uint64_t evicted() const;

private:
  void note_change();

  const lease_terms terms_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  lease_table leases_;
  std::uint64_t changes_ = 0;
};

} // namespace marchproxy::net
