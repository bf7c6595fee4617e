// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/route.hpp"

namespace marchproxy::relay {

route::route(context& c) : context_(c), deadline_([this] { on_timeout(); }) {}

question route::ask() const noexcept {
  return {source_, target_.host.name(), target_.port, &shown_, {}};
}

void route::start(const ip_address& source,
                  const wire::host_port& target,
                  const identity::presented& shown,
                  done then) {
  then_ = std::move(then);
  source_ = source;
  target_ = target;
  shown_ = shown;
  context_.loop.arm(deadline_, context_.settings.connect_timeout);
  if (const auto& address = target_.host.address())
    return judge_candidates({*address});
  auto first = judge_name(context_.snapshot.get(), ask());
  if (first.final_for_name())
    return refuse(first);
  context_.resolver.resolve(target_.host.name(), resolution_,
                            [this](net::resolve_result answer) { on_resolved(std::move(answer)); });
}

void route::cancel() noexcept {
  then_ = nullptr;
  deadline_.disarm();
  resolution_.cancel();
  connecting_.reset();
}

void route::on_resolved(net::resolve_result answer) {
  // The snapshot may have changed since the question was asked: the name is judged by the one that
  // judges addresses.
  auto by_name = judge_name(context_.snapshot.get(), ask());
  if (by_name.final_for_name())
    return refuse(by_name);
  if (answer)
    return judge_candidates(*answer);
  // A name that no mapping allows says nothing about whether it exists.
  if (!by_name.allowed())
    return refuse(by_name);
  candidates_ = {{{}, by_name}};
  fail_with(reason::resolve_failed);
}

void route::judge_candidates(const std::vector<ip_address>& addresses) {
  judged_by_ = context_.snapshot;
  std::optional<judgement> refusal;
  candidates_.clear();
  next_ = 0;
  for (const auto& address : addresses) {
    auto j = judge_address(judged_by_.get(), ask(), address);
    if (j.allowed())
      candidates_.push_back({address, j});
    else if (!refusal)
      refusal = j;
  }
  if (candidates_.empty())
    return refuse(refusal.value_or(judgement{}));
  connect_next();
}

void route::connect_next() {
  while (next_ < candidates_.size()) {
    const auto& to = candidates_[next_++];
    auto fd = net::connect_tcp({to.address, target_.port});
    if (!fd)
      continue;
    connecting_ = std::make_unique<stream>(context_.loop, std::move(*fd));
    if (connecting_->watch(*this))
      return;
  }
  fail_with(reason::connect_failed);
}

void route::on_ready() {
  if (!connecting_ || (!connecting_->writable() && !connecting_->broken()))
    return;
  if (net::take_error(connecting_->fd()) != 0 || connecting_->broken()) {
    connecting_->close();
    discarded_ = std::move(connecting_); // it is on the call stack
    return connect_next();
  }
  auto& chosen = candidates_[next_ - 1];
  if (judged_by_ != context_.snapshot) {
    judged_by_ = context_.snapshot;
    chosen.verdict = judge_address(judged_by_.get(), ask(), chosen.address);
    if (!chosen.verdict.allowed()) {
      connecting_->close();
      discarded_ = std::move(connecting_);
      return refuse(chosen.verdict);
    }
  }
  finish({std::move(connecting_), chosen.verdict, chosen.verdict.why, chosen.address});
}

void route::on_timeout() {
  if (candidates_.empty())
    candidates_ = {{{}, judge_name(context_.snapshot.get(), ask())}};
  if (!candidates_.front().verdict.allowed())
    return refuse(candidates_.front().verdict);
  fail_with(reason::connect_timeout);
}

void route::refuse(const judgement& j) {
  finish({nullptr, j, j.why, std::nullopt});
}

void route::fail_with(reason why) {
  auto last = next_ > 0 ? next_ - 1 : 0;
  finish({nullptr, candidates_[last].verdict, why,
          next_ > 0 ? std::optional{candidates_[last].address} : std::nullopt});
}

void route::finish(outcome o) {
  auto then = std::move(then_);
  shown_ = {};
  cancel();
  if (then)
    then(std::move(o));
}

} // namespace marchproxy::relay
