// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/verdict_feed.hpp"

#include <algorithm>
#include <utility>

namespace marchproxy::proxy {

bool verdict_feed::admit(clock::time_point now) {
  const auto most = static_cast<double>(limits_.per_second);
  if (filled_ != clock::time_point{})
    tokens_ = std::min(most, tokens_ + most * std::chrono::duration<double>(now - filled_).count());
  filled_ = now;
  auto room = [&] {
    std::lock_guard hold{lock_};
    return waiting_.size() < limits_.waiting;
  };
  if (tokens_ < 1 || !room()) {
    count_lost(1);
    return false;
  }
  tokens_ -= 1;
  return true;
}

void verdict_feed::push(bus_schemas::flow_verdict v) {
  std::lock_guard hold{lock_};
  waiting_.push_back(std::move(v));
  if (waiting_.size() == 1 && wake_)
    wake_();
}

std::vector<bus_schemas::flow_verdict> verdict_feed::take(std::size_t limit) {
  std::vector<bus_schemas::flow_verdict> out;
  std::lock_guard hold{lock_};
  while (!waiting_.empty() && out.size() < limit) {
    out.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return out;
}

void verdict_feed::on_waiting(std::function<void()> wake) {
  std::lock_guard hold{lock_};
  wake_ = std::move(wake);
  if (!waiting_.empty() && wake_)
    wake_();
}

} // namespace marchproxy::proxy
