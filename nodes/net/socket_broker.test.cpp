// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/socket_broker.hpp"

#include "nodes/net/datagram_socket.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

namespace marchproxy::net {
namespace {

/// Gives sockets at other places than those asked for, so that they are known again.
class elsewhere final : public socket_broker {
public:
  [[nodiscard]] result<unique_fd> listen_tcp(const endpoint& at,
                                             const listen_options& options) override {
    return net::listen_tcp({at.address, 0}, options);
  }
  [[nodiscard]] result<unique_fd> bind_udp(const endpoint& at,
                                           const udp_options& options) override {
    return net::bind_udp({at.address, 0}, options);
  }
  [[nodiscard]] result<void> widen_receive_buffer(int, std::size_t) override { return {}; }
};

/// In a process of its own that may not have low ports.
template <class Action>
int without_rights(Action action) {
  const auto child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::setuid(65'534) != 0)
      ::_exit(100);
    ::_exit(action());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const endpoint low{ip_address::v4(0x7f000001), 1};

TEST(socket_broker, is_asked_for_what_the_kernel_forbids) {
  if (without_rights([] { return listen_tcp(low) ? 0 : 1; }) == 0)
    GTEST_SKIP() << "here everybody may have low ports (net.ipv4.ip_unprivileged_port_start)";
  EXPECT_EQ(without_rights([] {
              use_socket_broker(std::make_shared<elsewhere>());
              auto tcp = listen_tcp(low);
              auto udp = bind_udp(low);
              if (!tcp || !udp)
                return 2;
              return local_endpoint(tcp->get()).port > 1 && local_endpoint(udp->get()).port > 1 ? 0
                                                                                                : 3;
            }),
            0);
}

TEST(socket_broker, is_not_asked_for_anything_else) {
  EXPECT_EQ(without_rights([] {
              use_socket_broker(std::make_shared<elsewhere>());
              auto first = listen_tcp({low.address, 0}, {.reuse_port = false});
              if (!first)
                return 1;
              auto again = listen_tcp(local_endpoint(first->get()), {.reuse_port = false});
              return !again && again.error().code == errc::conflict ? 0 : 2;
            }),
            0);
}

} // namespace
} // namespace marchproxy::net
