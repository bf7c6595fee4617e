// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/storage/pool.hpp"

#include <algorithm>
#include <random>
#include <thread>

namespace marchproxy::storage {

result<std::unique_ptr<pool>> pool::open(std::string database_url, settings limits) {
  const auto kind = dialect_of(database_url);
  if (!kind)
    return tl::unexpected(kind.error());
  if (*kind == dialect::sqlite || limits.connections == 0)
    limits.connections = 1;
  std::unique_ptr<pool> out(new pool(std::move(database_url), *kind, limits));
  if (auto first = out->acquire(); !first)
    return tl::unexpected(first.error());
  return out;
}

result<pool::lease> pool::acquire() {
  {
    std::unique_lock lock(guard_);
    const bool free = returned_.wait_for(
      lock, limits_.patience, [&] { return !idle_.empty() || open_ < limits_.connections; });
    if (!free)
      return fail(errc::unavailable, "no database connection came free in time");
    if (!idle_.empty()) {
      auto held = std::move(idle_.back());
      idle_.pop_back();
      return lease(*this, std::move(held));
    }
    ++open_;
  }
  // Connecting takes long; others may come and go meanwhile.
  auto fresh = connect(url_);
  if (!fresh) {
    const std::lock_guard lock(guard_);
    --open_;
    returned_.notify_one();
    return tl::unexpected(fresh.error());
  }
  return lease(*this, std::move(*fresh));
}

void pool::give_back(std::unique_ptr<connection> held) {
  const std::lock_guard lock(guard_);
  if (held->usable())
    idle_.push_back(std::move(held));
  else
    --open_;
  returned_.notify_one();
}

bool pool::transient(const error& e) noexcept {
  return e.code == errc::unavailable || e.code == errc::timeout;
}

pool::retry_clock::retry_clock(const settings& limits)
  : limits_(limits), deadline_(std::chrono::steady_clock::now() + limits.patience) {}

bool pool::retry_clock::pause(int attempt) {
  if (attempt + 1 >= limits_.tries)
    return false;
  const auto full =
    std::min(limits_.first_pause * (1 << std::min(attempt, 16)), std::chrono::milliseconds{1000});
  // Jitter keeps those that collided once from colliding again. Nothing secret hangs on it.
  thread_local std::minstd_rand spread(std::random_device{}());
  const auto wait =
    std::uniform_int_distribution<std::int64_t>(full.count() / 2, full.count())(spread);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds{wait};
  if (until >= deadline_)
    return false;
  std::this_thread::sleep_until(until);
  return true;
}

} // namespace marchproxy::storage
