// SPDX-License-Identifier: AGPL-3.0-only
// The API over real HTTP on loopback, and a client that shares no code with the server.
#pragma once

#include "nodes/api/memory_backend.test.hpp"
#include "nodes/api/service.hpp"
#include "nodes/http/server.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

namespace marchproxy::api {

struct answer {
  int status = 0;
  std::string head;
  std::string text;
  json body;

  /// Value of a header; names as the server writes them.
  [[nodiscard]] std::string header(const std::string& name) const {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos)
      return {};
    const auto from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
  }
  [[nodiscard]] std::string error_code() const {
    return body.value(json::json_pointer("/error/code"), std::string());
  }
  [[nodiscard]] std::string first_field() const {
    return body.value(json::json_pointer("/error/details/0/field"), std::string());
  }
};

struct ask {
  std::string method = "GET";
  std::string path;
  std::string key = "mpa_admin"; ///< empty: no Authorization
  std::string body = {};
  std::string headers = {}; ///< further lines, each ended by CRLF
};

class api_test : public testing::Test {
protected:
  explicit api_test(service_options options = {}) {
    options.requests_burst = 1e6;
    start(std::move(options));
  }

  void start(service_options options) {
    server_.reset();
    metrics_ = std::make_shared<prometheus::Registry>();
    service_ = std::make_unique<service>(manager, metrics_, std::move(options));
    http::server_options where;
    where.listen = {ip_address::v4(0x7F000001), 0};
    where.handler_threads = 2;
    auto made = http::server::start(
      where, [this](const http::request& request) { return service_->handle(request); });
    ASSERT_TRUE(made) << to_string(made.error());
    server_ = *std::move(made);
  }

  [[nodiscard]] answer send(const ask& what) const {
    std::string bytes =
      what.method + " " + what.path + " HTTP/1.1\r\nHost: api\r\nConnection: close\r\n";
    if (!what.key.empty())
      bytes += "Authorization: Bearer " + what.key + "\r\n";
    if (!what.body.empty() && what.headers.find("Content-Type") == std::string::npos)
      bytes += "Content-Type: application/json\r\n";
    bytes += what.headers + "Content-Length: " + std::to_string(what.body.size()) + "\r\n\r\n";
    return parse(exchange(bytes + what.body));
  }

  memory_backend manager;

private:
  [[nodiscard]] std::string exchange(const std::string& bytes) const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const auto to = net::to_socket_address(server_->local());
    std::string out;
    if (::connect(fd, to.get(), to.size) == 0
        && ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0) {
      std::array<char, 65536> buffer{};
      for (;;) {
        const auto got = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (got <= 0)
          break;
        out.append(buffer.data(), static_cast<std::size_t>(got));
      }
    }
    ::close(fd);
    return out;
  }

  [[nodiscard]] static answer parse(const std::string& bytes) {
    answer out;
    const auto end = bytes.find("\r\n\r\n");
    if (end == std::string::npos || bytes.size() < 12)
      return out;
    out.status = std::stoi(bytes.substr(9, 3));
    out.head = bytes.substr(0, end + 2);
    out.text = bytes.substr(end + 4);
    out.body = json::parse(out.text, nullptr, false);
    return out;
  }

  std::shared_ptr<prometheus::Registry> metrics_;
  std::unique_ptr<service> service_;
  std::unique_ptr<http::server> server_;
};

} // namespace marchproxy::api
