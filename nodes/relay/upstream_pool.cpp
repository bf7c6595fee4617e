// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/upstream_pool.hpp"

#include <utility>

namespace marchproxy::relay {

upstream_pool::upstream_pool(net::event_loop& loop,
                             std::size_t most,
                             std::chrono::milliseconds idle) noexcept
  : loop_(loop), most_(most), idle_(idle), expiry_([this] { discard_expired(); }) {}

void upstream_pool::entry::on_ready() {
  if (!what.link->quiet())
    of->discard(self);
}

void upstream_pool::put(parked_upstream u) {
  auto& made = parked_.emplace_back();
  made.of = this;
  made.what = std::move(u);
  made.until = loop_.now() + idle_;
  made.self = std::prev(parked_.end());
  made.what.link->set_owner(made);
  if (parked_.size() > most_)
    discard(parked_.begin());
  if (parked_.size() == 1)
    loop_.arm(expiry_, idle_);
}

std::optional<parked_upstream> upstream_pool::take(const ip_address& client,
                                                   std::string_view target,
                                                   const routing::backend_tls* tls) {
  for (auto at = parked_.end(); at != parked_.begin();) {
    auto here = std::prev(at);
    if (here->what.client != client || here->what.target != target
        || !here->what.is_secured_as(tls)) {
      at = here;
    } else if (!here->what.link->silent()) {
      discard(here);
    } else {
      auto out = std::move(here->what);
      parked_.erase(here);
      return out;
    }
  }
  return std::nullopt;
}

void upstream_pool::discard(std::unique_ptr<stream> link) {
  link->close();
  dead_.emplace_back().what.link = std::move(link);
}

void upstream_pool::discard(std::list<entry>::iterator which) noexcept {
  which->what.link->close();
  dead_.splice(dead_.end(), parked_, which);
}

void upstream_pool::discard_expired() {
  while (!parked_.empty() && parked_.front().until <= loop_.now())
    discard(parked_.begin());
  if (!parked_.empty())
    loop_.arm(expiry_, parked_.front().until - loop_.now());
}

void upstream_pool::clear() noexcept {
  while (!parked_.empty())
    discard(parked_.begin());
}

} // namespace marchproxy::relay
