// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/backend_choice.hpp"

#include <string_view>
#include <utility>

namespace marchproxy::relay {

namespace {

std::uint64_t hash_of(const ip_address& client) noexcept {
  static_assert(sizeof(client.bytes) == 16);
  return std::hash<std::string_view>{}(
    {reinterpret_cast<const char*>(client.bytes.data()), client.bytes.size()});
}

bool holds_sources(const routing::compiled_route& route) noexcept {
  return route.definition.balancing == model::balancing::source_hash;
}

/// Whether one was not tried that does not drain: where none can be chosen, it is full.
bool one_was_left(const routing::balancer& backends, const routing::balancer::tried_set& tried) {
  const auto& all = backends.members();
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!tried[i] && !all[i].draining)
      return true;
  return false;
}

} // namespace

void backend_choice::begin(std::shared_ptr<const routing::route_table> table,
                           const routing::compiled_route& route,
                           const ip_address& client) {
  retry_.reset(); // of the table at hand
  table_ = std::move(table);
  route_ = &route;
  source_ = hash_of(client);
  tried_.reset();
  tries_left_ = route.definition.retries + 1;
  failed_ = false;
  overloaded_ = false;
  use_.reset();
}

/// A client that is held by its source goes on with a backend that drains.
std::optional<std::size_t> backend_choice::choose(routing::clock::time_point now) const {
  const auto& backends = *route_->backends;
  if (held_ && tried_.none() && holds_sources(*route_))
    if (const auto place = backends.draining(*held_, now))
      return place;
  return backends.choose(source_, tried_, now);
}

const wire::host_port* backend_choice::next(routing::clock::time_point now,
                                            worker_counters& counters) {
  if (tries_left_ == 0 || !route_->backends)
    return nullptr;
  const auto& backends = *route_->backends;
  for (;;) {
    const auto chosen = choose(now);
    if (!chosen) {
      overloaded_ = one_was_left(backends, tried_);
      return nullptr;
    }
    use_ = backends.use(*chosen);
    if (use_.get() == nullptr)
      continue;
    place_ = *chosen;
    tried_.set(place_);
    break;
  }
  if (std::exchange(failed_, false)) {
    if (!retry_)
      retry_ = route_->retries->take(backends.under_way());
    (retry_ ? counters.retries : counters.retries_refused).add();
    if (!retry_) {
      use_.reset();
      return nullptr;
    }
  }
  return &use_.get()->target();
}

void backend_choice::reached() noexcept {
  retry_.reset();
  use_.get()->succeeded();
  if (holds_sources(*route_) && held_.get() != use_.get())
    held_ = route_->backends->members()[place_].endpoint;
}

void backend_choice::failed(routing::clock::time_point now) noexcept {
  use_.get()->failed(now);
  use_.reset();
  failed_ = true;
  --tries_left_;
}

void backend_choice::end() noexcept {
  use_.reset();
  retry_.reset();
  route_ = nullptr;
  table_.reset();
}

} // namespace marchproxy::relay
