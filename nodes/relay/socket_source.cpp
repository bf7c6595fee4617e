// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/socket_source.hpp"

#include <algorithm>

namespace marchproxy::relay {

namespace {

bool serves(int fd, const net::endpoint& at, bool datagrams, bool transparent) {
  auto here = net::local_endpoint(fd);
  return here.address == at.address && (here.port == at.port || at.port == 0)
         && net::is_datagram(fd) == datagrams && net::is_transparent(fd) == transparent;
}

} // namespace

net::unique_fd
socket_source::take_inherited(const net::endpoint& at, bool datagrams, bool transparent) {
  std::lock_guard hold{lock_};
  auto found = std::find_if(inherited_.begin(), inherited_.end(), [&](const net::unique_fd& fd) {
    return serves(fd.get(), at, datagrams, transparent);
  });
  if (found == inherited_.end())
    return {};
  auto out = std::move(*found);
  inherited_.erase(found);
  return out;
}

result<net::unique_fd> socket_source::listen(const net::endpoint& at, bool transparent) {
  if (auto inherited = take_inherited(at, false, transparent))
    return inherited;
  return net::listen_tcp(at, {.transparent = transparent});
}

result<net::unique_fd> socket_source::bind(const net::endpoint& at, bool transparent) {
  if (auto inherited = take_inherited(at, true, transparent))
    return inherited;
  return net::bind_udp(at, {.reuse_port = true, .transparent = transparent});
}

bool socket_source::empty() {
  std::lock_guard hold{lock_};
  return inherited_.empty();
}

void socket_source::close_rest() {
  std::lock_guard hold{lock_};
  inherited_.clear();
}

} // namespace marchproxy::relay
