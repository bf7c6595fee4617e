// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/dns/known_clients.hpp"

namespace marchproxy::dns {

namespace {

constexpr std::size_t most_seen = 4096; // then it begins anew

} // namespace

bool known_clients::knows(const ip_address& client) {
  auto program = current_();
  if (!program)
    return false;
  if (of_ != program || seen_.size() >= most_seen)
    seen_.clear();
  of_ = std::move(program);
  if (auto found = seen_.find(client); found != seen_.end())
    return found->second;
  return seen_.emplace(client, !of_->sources_at(client).empty()).first->second;
}

} // namespace marchproxy::dns
