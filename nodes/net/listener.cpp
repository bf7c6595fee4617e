// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/listener.hpp"

#include <fcntl.h>

namespace marchproxy::net {

namespace {

constexpr int accepts_a_turn = 64;

unique_fd open_spare() noexcept {
  return unique_fd{open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

} // namespace

result<std::unique_ptr<listener>> listener::open(event_loop& loop, unique_fd fd, take t) {
  std::unique_ptr<listener> out{new listener{loop, std::move(fd), std::move(t)}};
  auto added = loop.add(out->fd_.get(), EPOLLIN, *out);
  if (!added)
    return tl::unexpected(added.error());
  return out;
}

listener::listener(event_loop& loop, unique_fd fd, take t)
  : loop_(loop), fd_(std::move(fd)), spare_(open_spare()), take_(std::move(t)) {}

listener::~listener() {
  while (accept_one()) {
  }
  loop_.remove(fd_.get(), *this);
}

void listener::on_io(std::uint32_t /*events*/) {
  for (int i = 0; i < accepts_a_turn && accept_one(); ++i) {
  }
}

bool listener::accept_one() {
  auto got = accept_tcp(fd_.get());
  if (got.state == accept_state::accepted) {
    take_(std::move(got.connection));
    return true;
  }
  if (got.state == accept_state::none || !spare_)
    return false;
  // Out of descriptors: the connection is accepted and closed, since a full queue would keep this
  // loop spinning.
  spare_.reset();
  auto turned_away = accept_tcp(fd_.get());
  auto more = turned_away.state == accept_state::accepted;
  turned_away.connection.fd.reset();
  spare_ = open_spare();
  return more;
}

} // namespace marchproxy::net
