// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/rollout/coordinator.hpp"

#include <algorithm>

namespace marchproxy::rollout {

std::vector<effect> coordinator::step(const event& e, time_point now) {
  return std::visit([&](const auto& one) { return on(one, now); }, e);
}

marchproxy::revision coordinator::held_back(time_point now) const noexcept {
  return silences_ > 0 && !busy() && now < next_attempt_ ? revision_ : marchproxy::revision{};
}

std::vector<effect> coordinator::on(const start& e, time_point now) {
  if (busy() || e.revision == held_back(now))
    return {};
  if (e.revision != revision_)
    silences_ = 0;
  phase_ = phase::preparing;
  revision_ = e.revision;
  expected_ = e.expected;
  prepared_.clear();
  applied_.clear();
  deadline_ = now + limits_.prepare;
  std::vector<effect> out{announce_prepare{revision_}};
  auto more = advance();
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::vector<effect> coordinator::on(const ack& e, time_point) {
  if (e.revision != revision_ || !expected_.contains(e.proxy))
    return {};
  switch (e.phase) {
  case ack_phase::refused:
    return phase_ == phase::preparing ? abort(e.proxy + " refused: " + e.reason)
                                      : std::vector<effect>{};
  case ack_phase::prepared:
    prepared_.insert(e.proxy);
    break;
  case ack_phase::applied: // a proxy that has it already counts for both
    prepared_.insert(e.proxy);
    applied_.insert(e.proxy);
    break;
  }
  return advance();
}

std::vector<effect> coordinator::on(const heard& e, time_point) {
  if (phase_ != phase::preparing || !expected_.contains(e.proxy) || prepared_.contains(e.proxy))
    return {};
  return {announce_prepare{revision_}};
}

std::vector<effect> coordinator::on(const left& e, time_point) {
  if (!busy() || expected_.erase(e.proxy) == 0)
    return {};
  prepared_.erase(e.proxy);
  applied_.erase(e.proxy);
  return advance();
}

std::vector<effect> coordinator::on(const decision_stored& e, time_point now) {
  if (phase_ != phase::deciding || e.revision != revision_)
    return {};
  if (!e.ok)
    return abort("the decision could not be stored");
  phase_ = phase::committing;
  deadline_ = now + limits_.commit;
  std::vector<effect> out{announce_commit{revision_}};
  auto more = advance();
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::vector<effect> coordinator::on(const tick&, time_point now) {
  if (!busy() || now < deadline_)
    return {};
  switch (phase_) {
  case phase::idle:
  case phase::deciding: // storing has its own bound; its answer comes in any case
    return {};
  case phase::preparing:
    return postpone("not prepared in time: " + missing(prepared_), now);
  case phase::committing:
    phase_ = phase::idle;
    return {finished{revision_, outcome::committed, expected_.size(), applied_.size(),
                     "not applied yet: " + missing(applied_)}};
  }
  return {};
}

std::vector<effect> coordinator::postpone(std::string reason, time_point now) {
  if (silences_ >= limits_.retries)
    return abort(std::move(reason));
  auto wait = limits_.first_wait;
  for (unsigned i = 0; i < silences_ && wait < limits_.last_wait; ++i)
    wait *= 2;
  wait = std::min(wait, limits_.last_wait);
  ++silences_;
  next_attempt_ = now + wait;
  phase_ = phase::idle;
  return {announce_abort{revision_, reason}, postponed{revision_, wait, reason}};
}

std::vector<effect> coordinator::abort(std::string reason) {
  phase_ = phase::idle;
  silences_ = 0;
  return {announce_abort{revision_, reason},
          finished{revision_, outcome::aborted, expected_.size(), 0, reason}};
}

std::vector<effect> coordinator::advance() {
  if (phase_ == phase::preparing && prepared_.size() == expected_.size()) {
    phase_ = phase::deciding;
    return {store_decision{revision_}};
  }
  if (phase_ == phase::committing && applied_.size() == expected_.size()) {
    phase_ = phase::idle;
    return {finished{revision_, outcome::in_force, expected_.size(), applied_.size(), ""}};
  }
  return {};
}

std::string coordinator::missing(const std::set<proxy_key>& have) const {
  std::string out;
  for (const auto& proxy : expected_)
    if (!have.contains(proxy))
      out += (out.empty() ? "" : ", ") + proxy;
  return out;
}

} // namespace marchproxy::rollout
