// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/ip.hpp"
#include "actors/base/time.hpp"
#include "nodes/net/timer_wheel.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace marchproxy::net {

/// How long what name servers said is kept (POL-6).
struct lease_terms {
  std::chrono::seconds shortest{0};        ///< a TTL below this counts as this; 0 is never kept
  std::chrono::seconds longest{3600};      ///< a TTL above this counts as this
  std::chrono::seconds without_address{5}; ///< that a name has no address
  std::chrono::seconds stale{0};           ///< past its end, a lease serves where no server answers
  std::size_t most_names = 10'000;
};

/// The addresses of a name, and until when they may be used without a question.
struct lease {
  static constexpr std::size_t most_addresses = 64;

  std::vector<ip_address> addresses; ///< empty: the name has none
  clock::time_point until{};
  time_point ends{};  ///< of the TTL, by wall clock, for records and for the file
  bool stale = false; ///< past its TTL; used since no server answers

  bool operator==(const lease&) const = default;
};

struct named_lease {
  std::string name;
  lease what;
};

/// Leases by name, at most so many: the one unused for longest goes first. Belongs to one thread.
class lease_table {
public:
  /// @param most  0: nothing is kept
  explicit lease_table(std::size_t most) : most_(most) {}
  lease_table(const lease_table&) = delete;
  lease_table& operator=(const lease_table&) = delete;
  ~lease_table() = default;

  /// Null: it is not here. The pointer holds until the next put() or erase(). Ended ones are found
  /// too.
  [[nodiscard]] const lease* find(std::string_view name);
  void put(std::string_view name, lease what);
  void erase(std::string_view name);
  /// The one unused for longest first.
  template <class Visit>
  void for_each(Visit visit) const {
    std::for_each(used_.rbegin(), used_.rend(), visit);
  }
  [[nodiscard]] std::size_t size() const noexcept { return used_.size(); }
  /// How many went for others so far.
  [[nodiscard]] std::uint64_t evicted() const noexcept { return evicted_; }

private:
  std::size_t most_;
  std::uint64_t evicted_ = 0;
  std::list<named_lease> used_; ///< the last one used first
  std::unordered_map<std::string_view, std::list<named_lease>::iterator> by_name_;
};

} // namespace marchproxy::net
