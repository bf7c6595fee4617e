// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/route.hpp"

#include "nodes/relay/backend_security.hpp"
#include "nodes/relay/judge_way.hpp"

#include <algorithm>

namespace marchproxy::relay {

namespace {

/// Alternates families, beginning with the first address's; within one the order stays.
template <class Candidates>
void interleave(Candidates& candidates) {
  auto first = candidates.front().address.family;
  Candidates by_family[2];
  for (auto& c : candidates)
    by_family[c.address.family == first ? 0 : 1].push_back(std::move(c));
  candidates.clear();
  for (std::size_t i = 0; i < std::max(by_family[0].size(), by_family[1].size()); ++i)
    for (auto& family : by_family)
      if (i < family.size())
        candidates.push_back(std::move(family[i]));
}

/// Observed candidates go unless there are no others: the flow goes where it would go if nothing
/// were observed.
template <class Candidates>
void leave_allowed(Candidates& candidates) {
  auto observed = [](const auto& c) { return c.verdict.observed; };
  if (!std::all_of(candidates.begin(), candidates.end(), observed))
    std::erase_if(candidates, observed);
}

} // namespace

route::route(context& c)
  : context_(c), deadline_([this] { on_timeout(); }), next_attempt_([this] { connect_next(); }) {
  for (auto& a : attempts_)
    a.of = this;
}

question route::ask() const noexcept {
  return {demand_.source, demand_.target.host.name(), demand_.target.port, &demand_.shown, {}};
}

void route::start(demand d, done then) {
  then_ = std::move(then);
  demand_ = std::move(d);
  discarded_.clear();
  beyond_limit_.reset();
  lease_ends_.reset();
  context_.loop.arm(deadline_, context_.settings.connect_timeout);
  if (const auto& address = demand_.target.host.address())
    return judge_candidates({*address});
  auto first = judge_name(context_.snapshot.get(), ask());
  if (first.final_for_name())
    return refuse(first);
  context_.resolver.resolve(demand_.target.host.name(), resolution_,
                            [this](net::resolve_result answer) { on_resolved(std::move(answer)); });
}

void route::cancel() noexcept {
  then_ = nullptr;
  deadline_.disarm();
  next_attempt_.disarm();
  resolution_.cancel();
  for (auto& a : attempts_)
    a.link.reset();
  admitted_.clear();
}

void route::on_resolved(net::resolve_result answer) {
  // The snapshot may have changed since the question was asked: the name is judged by the one that
  // judges addresses.
  auto by_name = judge_name(context_.snapshot.get(), ask());
  if (by_name.final_for_name())
    return refuse(by_name);
  if (answer) {
    lease_ends_ = answer->lease_ends;
    return judge_candidates(answer->addresses);
  }
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
    auto j = judge_way(judged_by_.get(), ask(), address);
    if (j.allowed())
      candidates_.push_back({address, j});
    else if (!refusal)
      refusal = j;
  }
  if (candidates_.empty())
    return refuse(refusal.value_or(judgement{}));
  leave_allowed(candidates_);
  if (candidates_.size() > 1) {
    if (demand_.prefer)
      std::stable_partition(candidates_.begin(), candidates_.end(),
                            [this](const candidate& c) { return c.address == *demand_.prefer; });
    interleave(candidates_);
  }
  connect_next();
}

void route::connect_next() {
  auto free =
    std::find_if(attempts_.begin(), attempts_.end(), [](const attempt& a) { return !a.link; });
  if (free == attempts_.end())
    return; // the next to fail makes room
  while (next_ < candidates_.size() && !connect_to(candidates_[next_++], *free)) {
  }
  if (next_ < candidates_.size())
    return context_.loop.arm(next_attempt_, stagger);
  next_attempt_.disarm();
  if (std::none_of(attempts_.begin(), attempts_.end(),
                   [](const attempt& a) { return a.link != nullptr; })) {
    if (beyond_limit_)
      return refuse(*beyond_limit_);
    fail_with(reason::connect_failed);
  }
}

limiting::flow_meters route::meters_of(const candidate& to) const {
  return relay::meters_of(judged_by_.get(), ask(), to.verdict.verdict.mapping, to.address);
}

/// Whether its limits let the flow go to @p to. What one candidate was let in by holds for all
/// under the same limits: only one of them becomes a connection.
bool route::admit(const candidate& to) {
  if (!judged_by_ || !judged_by_->limits)
    return true;
  auto meters = meters_of(to);
  if (std::any_of(admitted_.begin(), admitted_.end(),
                  [&](const limiting::admission& a) { return a.is_under(meters); }))
    return true;
  auto got =
    limiting::admission::admit(meters, demand_.source, demand_.wants, limiting::clock::now());
  if (got)
    admitted_.push_back(std::move(*got));
  else
    beyond_limit_ = beyond(to.verdict, got.error());
  return got.has_value();
}

/// The other candidates' admissions end.
limiting::admission route::take_admission(const candidate& chosen) {
  auto meters = meters_of(chosen);
  auto its = std::find_if(admitted_.begin(), admitted_.end(),
                          [&](const limiting::admission& a) { return a.is_under(meters); });
  if (its != admitted_.end())
    return {std::move(*its)};
  // The revision has changed since the connection was begun.
  return limiting::admission::carry_on(meters, demand_.source, limiting::clock::now());
}

bool route::connect_to(const candidate& to, attempt& a) {
  if (!admit(to))
    return false;
  auto fd = net::connect_tcp({to.address, demand_.target.port});
  if (!fd)
    return false;
  auto link = std::make_unique<stream>(context_.loop, std::move(*fd), stream::phase::connecting);
  if (!link->watch(a))
    return false;
  a.link = std::move(link);
  a.connected = false;
  a.candidate = static_cast<std::size_t>(&to - candidates_.data());
  return true;
}

void route::discard(attempt& a) {
  a.link->close();
  discarded_.push_back(std::move(a.link)); // it is on the call stack
}

void route::on_attempt(attempt& a) {
  if (a.link && a.connected)
    return secure(a);
  if (!a.link || (!a.link->writable() && !a.link->broken()))
    return;
  if (net::take_error(a.link->fd()) != 0 || a.link->broken()) {
    discard(a);
    return connect_next();
  }
  if (!demand_.tls && demand_.greeting.empty())
    return arrive(a);
  next_attempt_.disarm();
  for (auto& other : attempts_)
    if (&other != &a && other.link)
      discard(other);
  // The header goes before TLS, and the buffer of a fresh socket takes it whole.
  const auto& greeting = demand_.greeting;
  if (!greeting.empty() && a.link->write(greeting).bytes != greeting.size()) {
    discard(a);
    return connect_next();
  }
  if (!demand_.tls)
    return arrive(a);
  a.connected = true;
  secure_backend(*a.link, *context_.settings.connector, demand_.target.host, *demand_.tls);
  secure(a);
}

void route::secure(attempt& a) {
  const auto how = a.link->handshake();
  if (how == io_state::moved)
    return arrive(a);
  if (how == io_state::blocked)
    return;
  auto problem = a.link->security()->problem();
  discard(a);
  fail_with(reason::upstream_tls_failed, std::move(problem));
}

void route::arrive(attempt& a) {
  auto& chosen = candidates_[a.candidate];
  if (judged_by_ != context_.snapshot) {
    judged_by_ = context_.snapshot;
    chosen.verdict = judge_way(judged_by_.get(), ask(), chosen.address);
    if (!chosen.verdict.allowed()) {
      discard(a);
      return refuse(chosen.verdict);
    }
  }
  auto admitted = take_admission(chosen);
  finish({std::move(a.link),
          chosen.verdict,
          chosen.verdict.why,
          chosen.address,
          lease_ends_,
          std::move(admitted),
          {}});
}

void route::on_timeout() {
  if (candidates_.empty())
    candidates_ = {{{}, judge_name(context_.snapshot.get(), ask())}};
  if (!candidates_.front().verdict.allowed())
    return refuse(candidates_.front().verdict);
  fail_with(reason::connect_timeout);
}

void route::refuse(const judgement& j) {
  finish({nullptr, j, j.why, std::nullopt, {}, {}, {}});
}

void route::fail_with(reason why, std::string detail) {
  auto last = next_ > 0 ? next_ - 1 : 0;
  finish({nullptr,
          candidates_[last].verdict,
          why,
          next_ > 0 ? std::optional{candidates_[last].address} : std::nullopt,
          next_ > 0 ? lease_ends_ : std::nullopt,
          {},
          std::move(detail)});
}

void route::finish(outcome o) {
  auto then = std::move(then_);
  demand_.shown = {};
  cancel();
  if (then)
    then(std::move(o));
}

} // namespace marchproxy::relay
