// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/ingress_session.hpp"

#include "actors/model/http_rules.hpp"
#include "nodes/relay/client_certificate.hpp"
#include "nodes/routing/rewrite.hpp"
#include "nodes/wire/http1_writer.hpp"

namespace marchproxy::relay {

namespace {

/// Empty: the reason's own.
std::string message_of(const route::outcome& failed) {
  return failed.why == reason::upstream_tls_failed
           ? "no TLS connection to the backend: " + failed.detail
           : std::string{};
}

} // namespace

ingress_session::ingress_session(context& c,
                                 std::unique_ptr<stream> client,
                                 const net::endpoint& peer,
                                 std::uint16_t port,
                                 buffer first,
                                 std::shared_ptr<const routing::endpoint> held)
  // Backends are ours: their connections serve whoever may use them.
  : http_session(c, std::move(client), peer, std::move(first), {}),
    port_(port),
    choice_(std::move(held)),
    again_([this] {
      try_next();
      advance();
    }) {}

void ingress_session::start() {
  if (!client_->watch(*this))
    return close();
  http_session::start();
}

void ingress_session::on_head(std::size_t size) {
  const auto& head = ctx().request;
  note_credentials("authorization");
  auto asked = head.authority;
  if (asked.port == 0)
    asked.port = port_;
  begin_flow(entry::ingress, asked);
  aim({}); // nowhere yet
  const auto* security = client_->security();
  if (security != nullptr)
    flow_->sni = security->server_name();
  auto refused = [&](reason why, std::string message = {}) {
    ctx().failed(*flow_, why);
    in_.consume(size);
    refuse(why, 0, std::move(message));
  };
  if (head.form == wire::target_form::authority || head.form == wire::target_form::asterisk
      || (head.form == wire::target_form::absolute
          && head.scheme
               != (security != nullptr ? wire::url_scheme::https : wire::url_scheme::http)))
    return refused(reason::bad_request, "the target must be a path");
  path_and_query_ = head.path;
  if (path_and_query_.empty() || path_and_query_.front() != '/')
    path_and_query_.insert(0, "/");
  auto path = std::string_view{path_and_query_}.substr(0, path_and_query_.find('?'));
  if (model::has_dot_segment(path))
    return refused(reason::bad_request, "the path has a segment `.` or `..`");
  const auto& snapshot = ctx().snapshot;
  if (!snapshot || !snapshot->routes)
    return refused(reason::no_policy);
  const auto* found = snapshot->routes->find(port_, asked.host, path, head.fields);
  if (found == nullptr)
    return refused(reason::no_route);
  if (auto refusal = refuse_client(found->definition, security, wall_now())) {
    may_keep_alive_ = false; // another connection is asked for what this one was not
    return refused(refusal->why, std::move(refusal->message));
  }
  if (found->definition.redirect) {
    in_.consume(size);
    return redirect(*found);
  }
  auto target = routing::rewrite_target(found->definition, path_and_query_);
  request_.assign(ctx(), {.client = peer_.address,
                          .to_backend = true,
                          .over_tls = security != nullptr,
                          .certificate = told_subject(found->definition, security),
                          .target = target,
                          .changes = found->definition.request_headers,
                          .response_changes = found->definition.response_headers});
  in_.consume(size);
  await_route();
  last_.reset();
  why_ = reason::no_backend;
  choice_.begin(snapshot->routes, *found, peer_.address);
  try_next();
}

void ingress_session::redirect(const routing::compiled_route& to) {
  const auto& how = *to.definition.redirect;
  flow_->allowed = true;
  ctx().failed(*flow_, reason::redirected);
  wire::head_writer head{reply_};
  head.status_line(how.status)
    .field("Location", routing::location_of(how, path_and_query_))
    .field("Content-Length", std::uint64_t{0})
    .field("Connection", may_keep_alive_ ? "keep-alive" : "close")
    .end();
  reply_then_go_on();
}

void ingress_session::try_next() {
  if (closed())
    return;
  const auto* target = choice_.next(ctx().loop.now(), ctx().counters);
  if (target == nullptr)
    return give_up();
  target_ = *target;
  counted_ = false;
  aim(target_);
  if (may_reuse() && reuse_upstream(target_, choice_.tls().get()))
    return begin_exchange();
  seek_route({.target = target_, .shown = shown_, .tls = choice_.tls()}, choice_.introduces());
}

/// A connection that began with a PROXY header speaks for this client, and only to a backend that
/// wants to hear of it so; who wants that gets no connection that others had.
bool ingress_session::may_reuse() {
  const auto as = choice_.introduces();
  if (as == introduced_as_ && as != model::proxy_header::off && upstream_.link() != nullptr
      && introduced_to_ == target_.text())
    return true;
  if (as != model::proxy_header::off || introduced_as_ != model::proxy_header::off)
    upstream_.park();
  introduced_as_ = model::proxy_header::off;
  return as == model::proxy_header::off;
}

/// Nowhere is left: the last try says why, unless a backend that has no room now was never tried.
void ingress_session::give_up() {
  if (choice_.overloaded()) {
    last_.reset();
    why_ = reason::overloaded;
  }
  choice_.end();
  if (last_)
    enter(*last_);
  else
    ctx().failed(*flow_, why_);
  auto why = last_ ? last_->why : why_;
  auto unauthenticated = why == reason::auth_required || why == reason::auth_failed;
  refuse(why, unauthenticated ? 401 : 0, last_ ? message_of(*last_) : std::string{});
}

void ingress_session::on_routed(route::outcome o) {
  if (o.upstream) {
    enter(o);
    upstream_.connected(std::move(o.upstream), target_, *o.address, o.verdict, choice_.tls());
    introduced_as_ = choice_.introduces();
    if (introduced_as_ != model::proxy_header::off) {
      introduced_to_ = target_.text();
      upstream_.make_personal();
    }
    begin_exchange();
    return advance();
  }
  if (o.verdict.allowed())
    choice_.failed(ctx().loop.now());
  else
    choice_.refused();
  last_ = std::move(o);
  ctx().loop.soon(again_);
}

bool ingress_session::try_again(const exchange& over) {
  auto repeatable = over.unanswered() && request_.may_repeat();
  if (repeatable)
    flow_->bytes_up = 0; // the next exchange counts from its beginning
  if (repeatable && std::exchange(reused_, false)) {
    // It may have closed just as it was used again.
    counted_ = true;
    admitted_ = {};
    await_route();
    seek_route({.target = target_, .shown = shown_, .tls = choice_.tls()}, choice_.introduces());
    return true;
  }
  choice_.failed(ctx().loop.now());
  if (!repeatable)
    return false;
  admitted_ = {};
  await_route();
  last_.reset();
  why_ = reason::upstream_failed;
  ctx().loop.soon(again_);
  return true;
}

void ingress_session::on_answered() {
  choice_.reached();
  choice_.end();
}

} // namespace marchproxy::relay
