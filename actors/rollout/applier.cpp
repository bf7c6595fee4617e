// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/rollout/applier.hpp"

#include <algorithm>
#include <utility>

namespace marchproxy::rollout {

std::string signed_text(const std::string& cluster_name, const announcement& a) {
  return "marchproxy.revision.v1\n" + cluster_name + "\n" + std::to_string(a.revision.value) + "\n"
         + a.sha256 + "\n" + a.program_hash + "\n" + std::to_string(a.size) + "\n"
         + std::to_string(a.chunks);
}

std::vector<applier_effect> applier::step(const applier_event& e) {
  return std::visit([&](const auto& one) { return on(one); }, e);
}

std::vector<applier_effect> applier::begin(const announcement& what) {
  std::vector<applier_effect> out;
  if (staging_ && staging_->revision != what.revision && ready_)
    out.emplace_back(drop_staged{staging_->revision});
  staging_ = what;
  ready_ = false;
  out.emplace_back(stage{what});
  return out;
}

std::vector<applier_effect> applier::on(const prepare_announced& e) {
  if (e.what.revision <= active_)
    return {send_ack{ack_phase::applied, e.what.revision, ""}};
  if (flipping_) {
    next_ = e.what;
    return {};
  }
  if (staging_ && *staging_ == e.what)
    return ready_ ? std::vector<applier_effect>{send_ack{ack_phase::prepared, e.what.revision, ""}}
                  : std::vector<applier_effect>{};
  return begin(e.what);
}

std::vector<applier_effect> applier::on(const commit_announced& e) {
  decided_ = std::max(decided_, e.revision);
  if (e.revision <= active_)
    return {send_ack{ack_phase::applied, e.revision, ""}};
  if (flipping_ || !staging_ || !ready_ || staging_->revision != e.revision)
    return {}; // not staged here yet: the poll brings the decision record
  flipping_ = true;
  return {flip{e.revision}};
}

std::vector<applier_effect> applier::on(const abort_announced& e) {
  if (next_ && next_->revision == e.revision)
    next_.reset();
  if (flipping_ || !staging_ || staging_->revision != e.revision || decided_ >= e.revision)
    return {};
  auto had = ready_;
  staging_.reset();
  ready_ = false;
  return had ? std::vector<applier_effect>{drop_staged{e.revision}} : std::vector<applier_effect>{};
}

std::vector<applier_effect> applier::on(const active_seen& e) {
  decided_ = std::max(decided_, e.what.revision);
  if (e.what.revision <= active_ || flipping_)
    return {};
  if (staging_ && *staging_ == e.what) {
    if (!ready_)
      return {};
    flipping_ = true;
    return {flip{e.what.revision}};
  }
  return begin(e.what);
}

std::vector<applier_effect> applier::on(const staged& e) {
  if (!staging_ || staging_->revision != e.revision)
    return {drop_staged{e.revision}};
  ready_ = true;
  if (decided_ >= e.revision) {
    flipping_ = true;
    return {flip{e.revision}};
  }
  return {send_ack{ack_phase::prepared, e.revision, ""}};
}

std::vector<applier_effect> applier::on(const not_fetched& e) {
  if (staging_ && staging_->revision == e.revision && !ready_)
    staging_.reset();
  return {};
}

std::vector<applier_effect> applier::on(const staging_failed& e) {
  if (!staging_ || staging_->revision != e.revision)
    return {};
  staging_.reset();
  ready_ = false;
  return {send_ack{ack_phase::refused, e.revision, e.reason}};
}

std::vector<applier_effect> applier::on(const flipped& e) {
  flipping_ = false;
  staging_.reset();
  ready_ = false;
  std::vector<applier_effect> out;
  if (e.ok) {
    active_ = std::max(active_, e.revision);
    out.emplace_back(send_ack{ack_phase::applied, e.revision, ""});
  } else {
    out.emplace_back(send_ack{ack_phase::refused, e.revision, e.reason});
  }
  if (const auto next = std::exchange(next_, std::nullopt)) {
    const auto more = on(prepare_announced{*next});
    out.insert(out.end(), more.begin(), more.end());
  }
  return out;
}

} // namespace marchproxy::rollout
