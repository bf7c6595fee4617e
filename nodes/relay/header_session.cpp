// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/header_session.hpp"

#include "nodes/wire/proxy_protocol.hpp"

namespace marchproxy::relay {

header_session::header_session(context& c,
                               std::unique_ptr<stream> client,
                               const net::endpoint& peer,
                               std::optional<listener_session::way> onward)
  : session(c, std::move(client), peer, buffer{c.pools.buffers}), onward_(onward) {}

void header_session::start() {
  if (!client_->watch(*this))
    return close();
  set_deadline(ctx().settings.head_timeout);
}

void header_session::refuse() {
  ctx().counters.bad_proxy_headers.add();
  close();
}

void header_session::advance() {
  auto got = client_->read(in_);
  if (got.state == io_state::blocked)
    return;
  if (got.state != io_state::moved)
    return close();
  auto header = wire::proxy_protocol::parse(in_.bytes());
  if (header.state == wire::parse_state::error)
    return refuse();
  if (header.state == wire::parse_state::need_more)
    return;
  in_.consume(header.consumed);
  if (header.of)
    peer_ = {header.of->source, header.of->source_port};
  auto& c = ctx();
  retire();
  std::unique_ptr<session> next;
  if (onward_)
    next =
      std::make_unique<listener_session>(c, std::move(client_), peer_, *onward_, std::move(in_));
  else
    next = std::make_unique<sniff_session>(c, std::move(client_), peer_, std::move(in_));
  c.adopt(std::move(next));
}

} // namespace marchproxy::relay
