// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/http_upstream.hpp"

#include "nodes/relay/judge_way.hpp"

namespace marchproxy::relay {

namespace {

service_id identity_of(const judgement& j) noexcept {
  return j.identity ? j.identity->service : service_id{};
}

} // namespace

void http_upstream::connected(std::unique_ptr<stream> link,
                              const wire::host_port& target,
                              const ip_address& address,
                              const judgement& j,
                              std::shared_ptr<const routing::backend_tls> tls) {
  drop();
  at_ = {client_, target.text(), address, identity_of(j), std::move(tls), std::move(link)};
  at_.link->set_owner(owner_);
  personal_ = false;
}

std::optional<judgement> http_upstream::reuse(const question& q,
                                              const wire::host_port& target,
                                              bool may_repeat,
                                              const routing::backend_tls* tls) {
  auto wanted = target.text();
  if (at_.link && (at_.target != wanted || !at_.is_secured_as(tls)))
    park();
  if (!at_.link && may_repeat) {
    if (auto parked = context_.upstreams.take(client_, wanted, tls)) {
      at_ = std::move(*parked);
      at_.link->set_owner(owner_);
      personal_ = false;
    }
  }
  if (!at_.link || at_.link->readable() || at_.link->broken())
    return std::nullopt;
  if (!q.name.empty() && judge_name(context_.snapshot.get(), q).final_for_name())
    return std::nullopt;
  auto j = judge_way(context_.snapshot.get(), q, at_.address);
  return j.allowed() && identity_of(j) == at_.identity ? std::optional{j} : std::nullopt;
}

void http_upstream::drop_unless_quiet() {
  if (at_.link && !at_.link->quiet())
    drop();
}

void http_upstream::drop() {
  if (at_.link)
    context_.upstreams.discard(std::move(at_.link));
}

void http_upstream::park() {
  drop_unless_quiet();
  if (!at_.link)
    return;
  if (personal_ || context_.draining)
    return drop();
  context_.upstreams.put(std::move(at_));
}

} // namespace marchproxy::relay
