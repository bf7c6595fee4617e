// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/socks_session.hpp"

#include "nodes/relay/refusal.hpp"
#include "nodes/relay/udp_association.hpp"

namespace marchproxy::relay {

namespace socks5 = wire::socks5;
using wire::parse_state;

void socks_session::advance() {
  while (!closed()) {
    if (flush() == io_state::failed)
      return close();
    if (!reply_.empty())
      return;
    if (phase_ == phase::granted)
      return become_tunnel(std::move(upstream_), std::move(in_));
    if (phase_ == phase::associated)
      return become_association();
    if (phase_ == phase::refused)
      return close();
    if (phase_ == phase::routing)
      return;
    if (step())
      continue;
    if (closed() || phase_ == phase::routing)
      return;
    if (!reply_.empty())
      continue;
    auto got = client_->read(in_);
    if (got.state == io_state::blocked)
      return;
    if (got.state != io_state::moved)
      return close();
  }
}

bool socks_session::step() {
  switch (phase_) {
  case phase::greeting:
    return on_greeting();
  case phase::credentials:
    return on_credentials();
  case phase::request:
    return on_request();
  case phase::routing:
  case phase::granted:
  case phase::associated:
  case phase::refused:
    break;
  }
  return false;
}

bool socks_session::on_greeting() {
  auto got = socks5::parse_greeting(in_.bytes());
  if (got.state == parse_state::need_more)
    return false;
  if (got.state == parse_state::error) {
    close();
    return false;
  }
  auto chosen = socks5::method::unacceptable;
  phase_ = phase::refused;
  if (got.value.offers(socks5::method::username_password)) {
    chosen = socks5::method::username_password;
    phase_ = phase::credentials;
  } else if (got.value.offers(socks5::method::none)) {
    chosen = socks5::method::none;
    phase_ = phase::request;
  }
  auto answer = socks5::method_reply(chosen);
  reply_.append(answer.data(), answer.size());
  in_.consume(got.consumed);
  return true;
}

bool socks_session::on_credentials() {
  auto got = socks5::parse_credentials(in_.bytes());
  if (got.state == parse_state::need_more)
    return false;
  auto accepted = got.state == parse_state::complete;
  if (accepted) {
    shown_ = {std::string{got.value.username}, std::string{got.value.password}};
    in_.consume(got.consumed);
  }
  auto answer = socks5::credentials_reply(accepted);
  reply_.append(answer.data(), answer.size());
  phase_ = accepted ? phase::request : phase::refused;
  return true;
}

bool socks_session::on_request() {
  auto got = socks5::parse_request(in_.bytes());
  if (got.state == parse_state::need_more)
    return false;
  if (got.state == parse_state::error) {
    refuse(got.reply);
    return true;
  }
  auto target = got.value.target;
  in_.consume(got.consumed);
  if (got.value.command == socks5::command::udp_associate) {
    begin_association(target);
    return true;
  }
  if (got.value.command != socks5::command::connect || target.port == 0) {
    refuse(target.port == 0 ? got.reply : socks5::reply_code::command_not_supported);
    return true;
  }
  phase_ = phase::routing;
  begin_flow(entry::socks5, target);
  find_route(target, std::exchange(shown_, {}));
  return false;
}

void socks_session::begin_association(const wire::host_port& announced) {
  // Where the client reached us it will reach us again.
  auto made = net::bind_udp({net::local_endpoint(client_->fd()).address, 0});
  if (!made)
    return refuse(socks5::reply_code::general_failure);
  datagrams_ = std::move(*made);
  datagram_port_ = announced.port;
  auto bound = net::local_endpoint(datagrams_.get());
  reply_ += socks5::reply(socks5::reply_code::succeeded, bound.address, bound.port).view();
  phase_ = phase::associated;
}

void socks_session::become_association() {
  retire();
  ctx().adopt(
    std::make_unique<udp_association>(ctx(), udp_association::parts{std::move(client_),
                                                                    std::move(datagrams_),
                                                                    {peer_.address, datagram_port_},
                                                                    std::move(shown_)}));
}

void socks_session::on_routed(route::outcome o) {
  set_deadline(ctx().settings.linger_timeout);
  if (!o.upstream) {
    refuse(socks_reply_of(o.why));
    end_flow();
    return advance();
  }
  auto bound = net::local_endpoint(o.upstream->fd());
  reply_ += socks5::reply(socks5::reply_code::succeeded, bound.address, bound.port).view();
  upstream_ = std::move(o.upstream);
  upstream_->set_owner(*this);
  phase_ = phase::granted;
  advance();
}

void socks_session::refuse(socks5::reply_code code) {
  reply_ += socks5::reply(code).view();
  phase_ = phase::refused;
}

} // namespace marchproxy::relay
