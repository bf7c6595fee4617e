// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// A server of ours with the certificates a.test and b.test, and clients of OpenSSL's.

#include "nodes/tls/acceptor.hpp"
#include "nodes/tls/client.test.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>

#include <array>
#include <memory>
#include <string>
#include <thread>

namespace marchproxy::tls::testing {

/// Waits until @p fd can do what @p s wants. @return false after ten seconds
inline bool wait(int fd, step s) {
  pollfd one{fd, static_cast<short>(s == step::wants_write ? POLLOUT : POLLIN), 0};
  return poll(&one, 1, 10'000) == 1;
}

inline step shake(channel& c, int fd) {
  auto how = c.handshake();
  while ((how == step::wants_read || how == step::wants_write) && wait(fd, how))
    how = c.handshake();
  return how;
}

class channels : public ::testing::Test {
protected:
  channels() {
    files.write_pair("a", ca.issue({"a", "DNS:a.test"}));
    files.write_pair("b", ca.issue({"b", "DNS:b.test"}));
    clients = files.write("clients.pem", client_ca.pem());
    auto store = certificate_store::open({files.path, clients}, [](const std::string&) {});
    EXPECT_TRUE(store);
    ours = *acceptor::create(std::move(*store));
    pair();
  }
  ~channels() override {
    if (server_fd >= 0)
      ::close(server_fd);
  }
  void pair() {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    take(ends[0], ends[1]);
  }
  void take(int server, int client) {
    if (server_fd >= 0)
      ::close(server_fd);
    server_fd = server;
    client_fd = client;
    fcntl(server_fd, F_SETFL, O_NONBLOCK);
  }
  /// The server's end in a thread, until its handshake is over.
  struct accepted {
    std::unique_ptr<channel> end;
    step how = step::failed;
    std::string client_says; ///< empty: its handshake is done
  };
  accepted meet(client& with, const accept_terms& terms = {}) {
    accepted out;
    out.end = ours->accept(server_fd, terms, {});
    std::thread server{[&] {
      out.how = shake(*out.end, server_fd);
      if (out.how == step::failed)
        shutdown(server_fd, SHUT_RDWR);
    }};
    out.client_says = with.handshake();
    server.join();
    return out;
  }

  authority ca;
  authority client_ca{"clients"};
  scratch files;
  std::filesystem::path clients;
  std::shared_ptr<const acceptor> ours;
  int server_fd = -1;
  int client_fd = -1;
};

} // namespace marchproxy::tls::testing
