// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/routing/endpoint.hpp"

#include <algorithm>

namespace marchproxy::routing {

namespace {

/// FNV-1a, 64 bits.
std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t out = 0xcbf29ce484222325U;
  for (const char c : text)
    out = (out ^ static_cast<std::uint8_t>(c)) * 0x100000001b3U;
  return out;
}

} // namespace

endpoint::endpoint(service_id service,
                   wire::host_port target,
                   ejection_terms terms,
                   clock::time_point since)
  : service_(service),
    target_(std::move(target)),
    hash_(hash_of(target_.text())),
    terms_(terms),
    since_(since.time_since_epoch().count()) {}

void endpoint::set_up(bool up, clock::time_point now) noexcept {
  if (up && !this->up())
    since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  up_.store(up, std::memory_order_relaxed);
}

double endpoint::share(clock::time_point now, std::chrono::milliseconds over) const noexcept {
  constexpr double least = 0.01; // or it would never show whether it is well
  const auto back =
    std::max(since_.load(std::memory_order_relaxed), out_until_.load(std::memory_order_relaxed));
  const auto age = static_cast<double>(now.time_since_epoch().count() - back);
  return std::clamp(age / static_cast<double>(clock::duration{over}.count()), least, 1.0);
}

bool endpoint::usable(clock::time_point now) const noexcept {
  return up() && now.time_since_epoch().count() >= out_until_.load(std::memory_order_relaxed);
}

endpoint::use endpoint::use::within(const std::shared_ptr<endpoint>& of,
                                    std::uint32_t most) noexcept {
  if (most == 0)
    return use{of};
  auto now = of->active();
  while (now < most)
    if (of->active_.compare_exchange_weak(now, now + 1, std::memory_order_relaxed))
      return use{counted{}, of};
  return {};
}

void endpoint::succeeded() noexcept {
  // Read first: the line stays shared among workers while all is well.
  if (failures_.load(std::memory_order_relaxed) != 0)
    failures_.store(0, std::memory_order_relaxed);
  if (times_out_.load(std::memory_order_relaxed) != 0)
    times_out_.store(0, std::memory_order_relaxed);
}

void endpoint::failed(clock::time_point now) noexcept {
  if (failures_.fetch_add(1, std::memory_order_relaxed) + 1 < terms_.failures)
    return;
  failures_.store(0, std::memory_order_relaxed);
  const auto before = std::min(times_out_.fetch_add(1, std::memory_order_relaxed), 30U);
  const auto length = std::min<std::chrono::milliseconds>(
    terms_.longest, terms_.shortest * (std::int64_t{1} << before));
  out_until_.store((now + length).time_since_epoch().count(), std::memory_order_relaxed);
  ejections_.fetch_add(1, std::memory_order_relaxed);
}

std::shared_ptr<endpoint> endpoints::at(service_id service, const wire::host_port& target) {
  const std::lock_guard hold{lock_};
  std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
  const std::pair key{service, target.text()};
  auto& place = known_[key];
  auto found = place.lock();
  if (!found) {
    found = std::make_shared<endpoint>(service, target, terms_);
    place = found;
  }
  return found;
}

} // namespace marchproxy::routing
