// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/named_http_session.hpp"

#include <utility>

namespace marchproxy::relay {

named_http_session::named_http_session(context& c,
                                       std::unique_ptr<stream> client,
                                       const net::endpoint& peer,
                                       buffer first,
                                       const wire::host_port& meant,
                                       decision_record flow)
  : forward_session(c, std::move(client), peer, std::move(first)),
    meant_(meant),
    first_(std::move(flow)) {}

named_http_session::~named_http_session() {
  if (!first_)
    return;
  // No request came: it is judged by where it went, as if nothing had been awaited.
  const question q{first_->source.address, {}, meant_.port, nullptr, {}};
  ctx().judged(*first_, judge_address(ctx().snapshot.get(), q, *meant_.host.address()));
  ctx().end_flow(std::move(*first_));
}

decision_record named_http_session::new_record(entry via) {
  auto out = first_ ? std::move(*first_) : forward_session::new_record(via);
  first_.reset();
  return out;
}

void named_http_session::on_head(std::size_t size) {
  const auto& head = ctx().request;
  if (head.form == wire::target_form::authority || head.scheme != wire::url_scheme::http) {
    may_keep_alive_ = false;
    return refuse(reason::bad_request, 0, "the target must be a path");
  }
  // An address in Host is not where the client went, and no name.
  target_ = meant_;
  if (!head.authority.host.name().empty())
    target_.host = head.authority.host;
  request_.assign(ctx(), {.client = peer_.address});
  in_.consume(size);
  begin_flow(entry::transparent, meant_);
  aim(target_);
  go_on();
}

void named_http_session::find_way() {
  find_route(target_, {}, meant_.host.address());
}

} // namespace marchproxy::relay
