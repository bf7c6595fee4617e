// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// A name server for tests: on loopback, by UDP, in a loop of the test's.

#include "nodes/net/event_loop.hpp"

#include <gtest/gtest.h>

#include <netinet/in.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace marchproxy::net::testing {

/// Answers A and AAAA from a table, NXDOMAIN for names that are not in it.
class name_server final : public io_handler {
public:
  struct entry {
    std::vector<std::string> addresses = {};
    std::uint32_t ttl = 60;
    std::string alias = {}; ///< the records are this one's, and a CNAME leads there
    std::uint32_t alias_ttl = 60;
  };

  explicit name_server(event_loop& loop) : loop_(loop) {
    fd_ = unique_fd{socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    auto at = to_socket_address({*parse_ip("127.0.0.1"), 0});
    EXPECT_EQ(bind(fd_.get(), at.get(), at.size), 0);
    EXPECT_TRUE(loop.add(fd_.get(), EPOLLIN, *this));
  }
  name_server(const name_server&) = delete;
  name_server& operator=(const name_server&) = delete;
  ~name_server() { loop_.remove(fd_.get(), *this); }

  void on_io(std::uint32_t) override {
    char in[512];
    socket_address from;
    from.size = sizeof from.storage;
    auto n = recvfrom(fd_.get(), in, sizeof in, 0, from.get(), &from.size);
    if (n < 17)
      return;
    std::string query{in, static_cast<std::size_t>(n)};
    std::string name;
    std::size_t at = 12;
    while (query[at] != 0) {
      auto size = static_cast<std::size_t>(query[at]);
      name += (name.empty() ? "" : ".") + query.substr(at + 1, size);
      at += size + 1;
    }
    asked.push_back(name);
    if (silent)
      return;
    auto reply = answer(query.substr(0, 2), query.substr(12, at + 5 - 12), name, query[at + 2]);
    sendto(fd_.get(), reply.data(), reply.size(), 0, from.get(), from.size);
  }

  [[nodiscard]] std::string address() const { return to_string(local_endpoint(fd_.get())); }
  /// Questions for @p name, of one family.
  [[nodiscard]] std::size_t times_asked(const std::string& name) const {
    std::size_t all = 0;
    for (const auto& each : asked)
      all += each == name ? 1U : 0U;
    return (all + 1) / 2;
  }

  std::map<std::string, entry> table;
  std::vector<std::string> asked;
  bool silent = false;

private:
  static std::string number(std::uint32_t n, int bytes) {
    std::string out;
    for (auto shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
      out += static_cast<char>(n >> shift & 0xff);
    return out;
  }
  static std::string labels(const std::string& name) {
    std::string out;
    for (std::size_t at = 0; at < name.size();) {
      auto end = std::min(name.find('.', at), name.size());
      out += static_cast<char>(end - at) + name.substr(at, end - at);
      at = end + 1;
    }
    return out + '\0';
  }
  static std::string
  record(const std::string& owner, char type, std::uint32_t ttl, const std::string& data) {
    return owner + number(static_cast<std::uint8_t>(type), 2) + number(1, 2) + number(ttl, 4)
           + number(static_cast<std::uint32_t>(data.size()), 2) + data;
  }

  std::string
  answer(const std::string& id, const std::string& question, const std::string& name, char type) {
    auto found = table.find(name);
    std::string records;
    std::uint32_t count = 0;
    if (found != table.end()) {
      const auto& [addresses, ttl, alias, alias_ttl] = found->second;
      std::string owner{"\xc0\x0c", 2}; // a pointer to the question's name
      if (!alias.empty()) {
        records += record(owner, 5, alias_ttl, labels(alias));
        owner = labels(alias);
        ++count;
      }
      for (const auto& text : addresses) {
        auto address = *parse_ip(text);
        auto v4 = address.family == ip_family::v4;
        if (type != (v4 ? 1 : 28))
          continue;
        std::string bytes{reinterpret_cast<const char*>(address.bytes.data()), v4 ? 4U : 16U};
        records += record(owner, type, ttl, bytes);
        ++count;
      }
    }
    return id + "\x81" + (found == table.end() ? "\x83" : "\x80") + number(1, 2) + number(count, 2)
           + number(0, 4) + question + records;
  }

  event_loop& loop_;
  unique_fd fd_;
};

} // namespace marchproxy::net::testing
