// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/answer_sockets.hpp"

#include <utility>

namespace marchproxy::relay {

result<answer_sockets::socket> answer_sockets::at(const net::endpoint& from) {
  if (auto found = open_.find(from); found != open_.end())
    return found->second.lock();
  // Not connected to a client: TPROXY would give that client's next datagrams to it.
  auto fd = net::bind_udp(from, {.reuse_port = true, .transparent = true});
  if (!fd)
    return tl::unexpected(fd.error());
  auto forget = [this, from](const net::unique_fd* it) {
    open_.erase(from);
    delete it;
  };
  socket out{new net::unique_fd{std::move(*fd)}, forget};
  open_.emplace(from, out);
  return out;
}

} // namespace marchproxy::relay
