// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/backend_choice.hpp"

#include <string_view>

namespace marchproxy::relay {

namespace {

std::uint64_t hash_of(const ip_address& client) noexcept {
  static_assert(sizeof(client.bytes) == 16);
  return std::hash<std::string_view>{}(
    {reinterpret_cast<const char*>(client.bytes.data()), client.bytes.size()});
}

} // namespace

void backend_choice::begin(std::shared_ptr<const routing::route_table> table,
                           const routing::compiled_route& route,
                           const ip_address& client) {
  table_ = std::move(table);
  route_ = &route;
  source_ = hash_of(client);
  tried_.reset();
  tries_left_ = route.definition.retries + 1;
  use_.reset();
}

const wire::host_port* backend_choice::next(routing::clock::time_point now) {
  if (tries_left_ == 0 || !route_->backends)
    return nullptr;
  const auto chosen = route_->backends->choose(source_, tried_, now);
  if (!chosen)
    return nullptr;
  chosen_ = *chosen;
  tried_.set(chosen_);
  use_ = routing::endpoint::use{route_->backends->members()[chosen_].endpoint};
  return &use_.get()->target();
}

void backend_choice::reached() noexcept {
  use_.get()->succeeded();
}

void backend_choice::failed(routing::clock::time_point now) noexcept {
  use_.get()->failed(now);
  use_.reset();
  --tries_left_;
}

void backend_choice::end() noexcept {
  use_.reset();
  route_ = nullptr;
  table_.reset();
}

} // namespace marchproxy::relay
