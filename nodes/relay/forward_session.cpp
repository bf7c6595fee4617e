// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/forward_session.hpp"

namespace marchproxy::relay {

void forward_session::on_head(std::size_t size) {
  const auto& head = ctx().request;
  connect_ = head.method == "CONNECT";
  target_ = head.authority;
  note_credentials("proxy-authorization");
  if (connect_ && head.body.kind == wire::body_kind::none) {
    in_.consume(size);
    return begin_connect();
  }
  if (head.form != wire::target_form::absolute || head.scheme != wire::url_scheme::http) {
    may_keep_alive_ = false;
    return refuse(
      reason::bad_request, 0,
      "this is a proxy: use CONNECT, or a target in absolute form with the scheme http");
  }
  if (forwards_left(head) == 0) {
    may_keep_alive_ = false;
    return refuse(
      reason::bad_request, 501,
      "Max-Forwards ends the way here, and this proxy answers no TRACE or OPTIONS itself");
  }
  request_.assign(ctx(), {.client = peer_.address});
  in_.consume(size);
  begin_forward();
}

void forward_session::begin_connect() {
  await_route();
  counted_ = true;
  begin_flow(entry::connect, target_);
  find_route(target_, shown_);
}

void forward_session::begin_forward() {
  if (target_.port == 0)
    target_.port = 80;
  begin_flow(entry::forward, target_);
  go_on();
}

void forward_session::go_on() {
  await_route();
  counted_ = false;
  if (reuse_upstream(target_))
    return begin_exchange();
  find_way();
}

void forward_session::on_routed(route::outcome o) {
  if (!o.upstream) {
    refuse(o.why);
    return advance();
  }
  upstream_.connected(std::move(o.upstream), target_, *o.address, o.verdict);
  if (connect_) {
    reply_ = "HTTP/1.1 200 Connection established\r\n\r\n";
    reply_then_tunnel();
  } else {
    begin_exchange();
  }
  advance();
}

/// A kept connection may close just as it is used again; nothing was answered.
bool forward_session::try_again(const exchange& over) {
  if (!reused_ || !over.unanswered() || !request_.may_repeat())
    return false;
  reused_ = false;
  counted_ = true;
  admitted_ = {};
  flow_->bytes_up = 0; // the next exchange counts from its beginning
  await_route();
  find_way();
  return true;
}

} // namespace marchproxy::relay
