// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/lease_store.hpp"

#include <algorithm>

namespace marchproxy::net {

std::optional<lease> lease_store::find(std::string_view name, clock::time_point now) {
  std::lock_guard lock{mutex_};
  const auto* found = leases_.find(name);
  return found != nullptr && now < found->until ? std::optional{*found} : std::nullopt;
}

std::optional<lease> lease_store::find_ended(std::string_view name, clock::time_point now) {
  std::lock_guard lock{mutex_};
  const auto* found = leases_.find(name);
  return found != nullptr && now < found->until + terms_.stale ? std::optional{*found}
                                                               : std::nullopt;
}

void lease_store::note_change() {
  ++changes_;
  changed_.notify_all();
}

void lease_store::put(std::string_view name, const lease& what) {
  if (terms_.most_names == 0)
    return;
  std::lock_guard lock{mutex_};
  leases_.put(name, what);
  note_change();
}

void lease_store::forget(std::string_view name) {
  std::lock_guard lock{mutex_};
  if (leases_.find(name) == nullptr)
    return;
  leases_.erase(name);
  note_change();
}

std::vector<named_lease> lease_store::take_stock(clock::time_point now) {
  std::lock_guard lock{mutex_};
  std::vector<named_lease> out;
  std::vector<std::string> over;
  leases_.for_each([&](const named_lease& each) {
    if (now < each.what.until + terms_.stale)
      out.push_back(each);
    else
      over.push_back(each.name);
  });
  for (const auto& name : over)
    leases_.erase(name);
  return out;
}

std::size_t
lease_store::restore(const std::vector<named_lease>& kept, clock::time_point now, time_point wall) {
  std::lock_guard lock{mutex_};
  std::size_t restored = 0;
  for (const auto& [name, what] : kept) {
    // In microseconds: a time far away has too many nanoseconds.
    const auto left = std::min<std::chrono::microseconds>(what.ends - wall, terms_.longest);
    if (left + terms_.stale <= std::chrono::microseconds::zero())
      continue;
    auto again = what;
    again.until = now + left;
    leases_.put(name, std::move(again));
    ++restored;
  }
  return restored;
}

std::uint64_t lease_store::wait_for_change(std::uint64_t seen, const std::stop_token& stop) {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, stop, [&] { return changes_ != seen; });
  return changes_;
}

std::uint64_t lease_store::changes() const {
  std::lock_guard lock{mutex_};
  return changes_;
}

std::uint64_t lease_store::count(clock::time_point now) const {
  std::lock_guard lock{mutex_};
  std::uint64_t out = 0;
  leases_.for_each([&](const named_lease& each) { out += now < each.what.until ? 1U : 0U; });
  return out;
}

std::uint64_t lease_store::evicted() const {
  std::lock_guard lock{mutex_};
  return leases_.evicted();
}

} // namespace marchproxy::net
