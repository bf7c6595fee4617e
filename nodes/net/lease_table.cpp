// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/lease_table.hpp"

#include <utility>

namespace marchproxy::net {

const lease* lease_table::find(std::string_view name) {
  auto found = by_name_.find(name);
  if (found == by_name_.end())
    return nullptr;
  used_.splice(used_.begin(), used_, found->second);
  return &found->second->what;
}

void lease_table::put(std::string_view name, lease what) {
  if (auto found = by_name_.find(name); found != by_name_.end()) {
    found->second->what = std::move(what);
    used_.splice(used_.begin(), used_, found->second);
    return;
  }
  if (most_ == 0)
    return;
  if (used_.size() == most_) {
    by_name_.erase(used_.back().name);
    used_.pop_back();
    ++evicted_;
  }
  used_.push_front({std::string{name}, std::move(what)});
  by_name_.emplace(used_.front().name, used_.begin());
}

void lease_table::erase(std::string_view name) {
  auto found = by_name_.find(name);
  if (found == by_name_.end())
    return;
  auto where = found->second; // its name is the key
  by_name_.erase(found);
  used_.erase(where);
}

} // namespace marchproxy::net
