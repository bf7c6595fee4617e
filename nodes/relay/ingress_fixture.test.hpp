// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// An ingress proxy with backends on loopback, for tests of what comes in.

#include "nodes/relay/relay_fixture.test.hpp"

namespace marchproxy::relay::testing {

/// A port to listen on that nobody has, below those that connections get for their own end: tests
/// that run beside this one have thousands. Each process has a block of its own.
inline std::uint16_t free_port() {
  constexpr int first = 10'000;
  constexpr int block = 64;
  static int next = first + getpid() % 300 * block;
  for (;;) {
    // Without SO_REUSEPORT, which our listeners set: with it two processes could share a port.
    net::unique_fd probe{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const auto port = static_cast<std::uint16_t>(next++);
    const auto at = net::to_socket_address({*parse_ip("127.0.0.1"), port});
    if (bind(probe.get(), at.get(), at.size) == 0)
      return port;
  }
}

/// A backend that answers each request with its name and the head it was sent.
class backend : public origin {
public:
  explicit backend(std::string name)
    : origin([name = std::move(name)](peer& p) {
        for (auto head = p.until("\r\n\r\n"); !head.empty(); head = p.until("\r\n\r\n")) {
          auto body = name + "\n" + head;
          if (!p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size())
                      + "\r\n\r\n" + body))
            return;
        }
      }) {}
};

class ingress : public relaying {
protected:
  ingress() {
    settings.ingress = true;
    port = free_port();
  }
  /// Mappings let everybody reach every service that is added here.
  service_id add(const std::string& name, std::uint16_t at, const char* address = "127.0.0.1") {
    const auto id = r.service(name, address, {}, at);
    r.mapping(model::select_all{}, id);
    return id;
  }
  void go() {
    start(r.snapshot(&backends));
    ASSERT_EQ(problems(), std::vector<std::string>{});
  }
  /// One GET on a connection of its own; the whole answer.
  std::string
  get(const std::string& host, const std::string& path = "/", const std::string& more = "") {
    auto p = peer::to(port);
    p.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + more
           + "\r\n");
    return p.all();
  }
  static std::string status(const std::string& answer) { return answer.substr(0, 12); }
  static std::string body(const std::string& answer) {
    return answer.substr(answer.find("\r\n\r\n") + 4);
  }
  /// Which backend answered.
  std::string who(const std::string& host, const std::string& path = "/") {
    const auto answer = get(host, path);
    EXPECT_EQ(status(answer), "HTTP/1.1 200") << answer;
    return body(answer).substr(0, body(answer).find('\n'));
  }

  rules r;
  routing::endpoints backends;
  std::uint16_t port = 0;
};

} // namespace marchproxy::relay::testing
