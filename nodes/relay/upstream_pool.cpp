// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/relay/upstream_pool.hpp"

#include <algorithm>

namespace marchproxy::relay {

upstream_pool::upstream_pool(net::event_loop& loop, limits of)
  : loop_(loop), limits_(of), expiry_([this] { expire(); }) {}

void upstream_pool::waiting::on_ready() {
  if (kept.link->quiet())
    return;
  auto& pool = *of;
  auto gone = pool.remove(*this).link;
  gone->close();
  pool.dead_.push_back(std::move(gone)); // it is on the call stack
}

upstream_pool::kept upstream_pool::remove(waiting& w) {
  auto found = by_target_.find(w.target);
  std::erase(found->second, &w);
  if (found->second.empty())
    by_target_.erase(found);
  auto out = std::move(w.kept);
  waiting_.erase(w.place);
  return out;
}

upstream_pool::kept upstream_pool::take(std::string_view target) {
  for (auto found = by_target_.find(target); found != by_target_.end();
       found = by_target_.find(target)) {
    auto one = remove(*found->second.back());
    if (one.link->quiet())
      return one;
    one.link->close();
  }
  return {};
}

void upstream_pool::put(const std::string& target, kept one) {
  if (!one.link->quiet()) {
    one.link->close();
    dead_.push_back(std::move(one.link)); // it may be on the call stack
    return;
  }
  auto& w = waiting_.emplace_back();
  w.of = this;
  w.target = target;
  w.kept = std::move(one);
  w.since = loop_.now();
  w.place = std::prev(waiting_.end());
  w.kept.link->set_owner(w);
  by_target_[target].push_back(&w);
  if (waiting_.size() > limits_.idle)
    remove(waiting_.front()).link->close();
  if (waiting_.size() == 1)
    loop_.arm(expiry_, limits_.age);
}

void upstream_pool::expire() {
  while (!waiting_.empty() && loop_.now() - waiting_.front().since >= limits_.age)
    remove(waiting_.front()).link->close();
  if (!waiting_.empty())
    loop_.arm(expiry_,
              std::chrono::duration_cast<std::chrono::milliseconds>(
                waiting_.front().since + limits_.age - loop_.now() + std::chrono::milliseconds{1}));
}

void upstream_pool::close_all() {
  while (!waiting_.empty())
    remove(waiting_.front()).link->close();
}

} // namespace marchproxy::relay
