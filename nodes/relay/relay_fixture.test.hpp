// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// What the relay's tests share: policies in a few words, an origin on loopback and a client, all
// with real sockets.

#include "nodes/relay/relay_server.hpp"
#include "tests/support/inbox.hpp"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace marchproxy::relay::testing {

using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr auto patience = 10s;

/// Polls @p done until it holds; fails after ten seconds.
template <class Done>
bool eventually(Done done) {
  auto deadline = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

/// A blocking socket whose calls give up after ten seconds.
class peer {
public:
  explicit peer(int fd) : fd_(fd) {
    timeval limit{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  /// Connects to a port of 127.0.0.1 from @p source.
  static peer to(std::uint16_t port, const char* source = "127.0.0.1") {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // The port is chosen by connect(), which can take one that other connections still hold:
    // thousands of connections do not use the ports up.
    int yes = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    auto from = net::to_socket_address({*parse_ip(source), 0});
    EXPECT_EQ(bind(fd, from.get(), from.size), 0);
    auto at = net::to_socket_address({*parse_ip("127.0.0.1"), port});
    EXPECT_EQ(connect(fd, at.get(), at.size), 0) << strerror(errno);
    return peer{fd};
  }

  bool send(std::string_view text) const {
    while (!text.empty()) {
      auto n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0)
        return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// What was received and not used yet, or one read; empty at the end, on a reset or when nothing
  /// came in time.
  std::string some() {
    return held_.some([this] { return receive(); });
  }
  std::string receive() const {
    std::string out(64 * 1024, '\0');
    auto n = recv(fd_.get(), out.data(), out.size(), 0);
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }
  std::string exactly(std::size_t size) {
    return held_.exactly(size, [this] { return receive(); });
  }
  /// Up to and with @p mark.
  std::string until(std::string_view mark) {
    return held_.until(mark, [this] { return receive(); });
  }
  std::string all() {
    return held_.all([this] { return receive(); });
  }
  /// @p text is received again.
  void unread(std::string_view text) { held_.unread(text); }
  void shut_down() const { shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  void reset() {
    net::reset_on_close(fd_.get());
    close();
  }
  int fd() const { return fd_.get(); }

private:
  net::unique_fd fd_;
  test::inbox held_;
};

/// A server on 127.0.0.1 that gives each connection to @p serve in a thread of its own.
class origin {
public:
  explicit origin(std::function<void(peer&)> serve) : serve_(std::move(serve)) {
    listener_ = net::unique_fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    auto at = net::to_socket_address({*parse_ip("127.0.0.1"), 0});
    EXPECT_EQ(bind(listener_.get(), at.get(), at.size), 0);
    EXPECT_EQ(listen(listener_.get(), 512), 0);
    port = net::local_endpoint(listener_.get()).port;
    acceptor_ = std::thread{[this] { accept_all(); }};
  }
  ~origin() {
    shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    {
      std::lock_guard lock{mutex_};
      for (auto& one : served_)
        if (!one.over)
          shutdown(one.fd, SHUT_RDWR);
    }
    for (auto& one : served_)
      one.thread.join();
  }

  std::uint16_t port = 0;
  std::atomic<int> connections{0};

private:
  struct served {
    int fd;
    std::thread thread = {};
    bool over = false; ///< the thread needs only to be joined
  };

  void accept_all() {
    for (int fd = 0; (fd = accept(listener_.get(), nullptr, nullptr)) >= 0;) {
      ++connections;
      std::lock_guard lock{mutex_};
      forget_those_over();
      auto& one = served_.emplace_back(served{fd});
      one.thread = std::thread{[this, &one] {
        peer p{one.fd};
        serve_(p);
        // Before p closes it: the number is the next connection's then.
        std::lock_guard done{mutex_};
        one.over = true;
      }};
    }
  }
  /// A thread that is not joined keeps its stack.
  void forget_those_over() {
    served_.remove_if([](served& one) {
      if (one.over)
        one.thread.join();
      return one.over;
    });
  }

  std::function<void(peer&)> serve_;
  net::unique_fd listener_;
  std::mutex mutex_;
  std::list<served> served_;
  std::thread acceptor_;
};

inline void echo(peer& p) {
  for (auto text = p.some(); !text.empty(); text = p.some())
    if (!p.send(text))
      return;
  p.shut_down();
}

/// A port of 127.0.0.1 where nobody listens. To be asked for after start(): what was just given up
/// may be the next that somebody gets.
inline std::uint16_t closed_port() {
  return origin{echo}.port;
}

/// A port that is ours but not listened on, so that nobody else gets it meanwhile.
struct reserved_port {
  reserved_port() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    int one = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    auto at = net::to_socket_address({*parse_ip("127.0.0.1"), 0});
    EXPECT_EQ(bind(fd.get(), at.get(), at.size), 0);
    number = net::local_endpoint(fd.get()).port;
  }
  net::unique_fd fd;
  std::uint16_t number = 0;
};

/// Rules in a few words. Service and mapping ids count from 1.
class rules {
public:
  explicit rules(std::uint64_t revision = 1) { set_.revision = marchproxy::revision{revision}; }

  service_id service(const std::string& name,
                     const std::string& address,
                     std::optional<std::uint16_t> listen = {},
                     std::uint16_t port = 0) {
    model::service s;
    s.id = service_id{set_.services.size() + 1};
    s.name = name;
    if (auto prefix = parse_prefix(address))
      s.address = *prefix;
    else if (address.starts_with("*."))
      s.address = model::dns_name{address.substr(2), true};
    else
      s.address = model::dns_name{address, false};
    if (port != 0)
      s.ports = model::port_set{{{port, port}}};
    s.listen_port = listen;
    set_.services.push_back(s);
    return s.id;
  }

  model::mapping& mapping(model::selector from,
                          model::selector to,
                          model::mapping_action action = model::mapping_action::allow) {
    model::mapping m;
    m.id = mapping_id{set_.mappings.size() + first_mapping};
    m.name = "mapping " + std::to_string(m.id.value);
    m.sources = {from};
    m.destinations = {to};
    m.action = action;
    set_.mappings.push_back(m);
    return set_.mappings.back();
  }

  model::ingress_route& route(std::uint16_t port, std::vector<model::ingress_backend> backends) {
    model::ingress_route r;
    r.id = model::ingress_route_id{set_.ingress_routes.size() + 1};
    r.name = "route " + std::to_string(r.id.value);
    r.listen_port = port;
    r.backends = std::move(backends);
    set_.ingress_routes.push_back(std::move(r));
    return set_.ingress_routes.back();
  }

  /// @param backends  not null: the routes are compiled too, as an ingress proxy has them
  [[nodiscard]] std::shared_ptr<const policy_snapshot>
  snapshot(routing::endpoints* backends = nullptr) const {
    std::shared_ptr<const routing::route_table> routes;
    if (backends != nullptr) {
      auto built = routing::route_table::build(set_, *backends);
      EXPECT_TRUE(built) << (built ? "" : to_string(built.error()));
      routes = built ? *built : nullptr;
    }
    auto compiled = policy::program::compile(std::make_shared<const model::ruleset>(set_));
    EXPECT_TRUE(compiled) << (compiled ? "" : to_string(compiled.error()));
    return std::make_shared<const policy_snapshot>(policy_snapshot{
      compiled ? *compiled : nullptr, std::make_shared<const identity::authenticator>(set_),
      std::move(routes), limiting::limit_table::build(set_, *meters, limiting::clock::now())});
  }

  /// The cluster is observed.
  void observe() { set_.observe = true; }

  model::service& at(service_id id) { return set_.services.at(id.value - 1); }

  void credential(service_id of,
                  const std::string& id,
                  const std::string& algorithm,
                  const std::string& verifier) {
    auto owner = std::find_if(set_.services.begin(), set_.services.end(),
                              [&](const auto& s) { return s.id == of; });
    owner->auth = algorithm.empty() ? model::auth_type::base64 : model::auth_type::jwt;
    set_.credentials.push_back({id, of, owner->auth, algorithm, verifier, std::nullopt});
  }

  std::uint64_t first_mapping = 1;
  std::shared_ptr<limiting::meters> meters = std::make_shared<limiting::meters>();

private:
  model::ruleset set_;
};

/// A relay on a free port with a hosts file of its own and no name servers that answer.
class relaying : public ::testing::Test {
protected:
  relaying() {
    hosts = std::filesystem::temp_directory_path()
            / ("relay_hosts_" + std::to_string(getpid()) + "_" + std::to_string(++count_));
    std::ofstream{hosts} << "127.0.0.1 origin.test private.test denied.test a.wild.test\n";
    if (const auto* io = std::getenv("MP_TEST_IO"); io != nullptr && io == "auto"s)
      settings.io = io_choice::automatic;
    settings.proxy_listen = {*parse_ip("127.0.0.1"), 0};
    settings.service_listen = *parse_ip("127.0.0.1");
    settings.resolver.hosts_path = hosts;
    settings.resolver.servers = "127.0.0.1:1"; // refuses at once
    settings.resolver.timeout = 50ms;
    settings.resolver.tries = 1;
  }
  ~relaying() override {
    server.reset();
    std::filesystem::remove(hosts);
  }

  void start(std::shared_ptr<const policy_snapshot> snapshot) {
    auto started = relay_server::start(settings, {[this](const decision_record& r) {
                                                    std::lock_guard lock{mutex_};
                                                    records_.push_back(r);
                                                  },
                                                  [this](const std::string& text) {
                                                    std::lock_guard lock{mutex_};
                                                    problems_.push_back(text);
                                                  }});
    ASSERT_TRUE(started) << to_string(started.error());
    server = std::move(*started);
    if (snapshot)
      publish(std::move(snapshot));
  }
  void publish(std::shared_ptr<const policy_snapshot> snapshot) {
    server->publish(std::move(snapshot));
    ASSERT_TRUE(eventually([&] { return server->in_force(); }));
  }

  /// A client of the proxy.
  [[nodiscard]] peer dial(const char* source = "127.0.0.1") const {
    return peer::to(server->proxy_port(), source);
  }
  /// Sends CONNECT and reads the answer's head.
  static std::string connect(peer& p, const std::string& target, const std::string& fields = "") {
    p.send("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n" + fields + "\r\n");
    return p.until("\r\n\r\n");
  }
  static std::string at(std::uint16_t port, const std::string& host = "127.0.0.1") {
    return host + ":" + std::to_string(port);
  }

  std::vector<decision_record> records() {
    std::lock_guard lock{mutex_};
    return records_;
  }
  std::vector<std::string> problems() {
    std::lock_guard lock{mutex_};
    return problems_;
  }
  /// The only record, once it is there.
  decision_record record() {
    EXPECT_TRUE(eventually([&] { return !records().empty(); }));
    auto all = records();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? decision_record{} : all.front();
  }

  relay_settings settings;
  std::filesystem::path hosts;
  std::unique_ptr<relay_server> server;

private:
  static inline std::atomic<int> count_{0};
  std::mutex mutex_;
  std::vector<decision_record> records_;
  std::vector<std::string> problems_;
};

/// `client` at 127.0.0.1 may reach `origin` at 127.0.0.1, by address.
inline rules allow_loopback(std::uint64_t revision = 1) {
  rules r{revision};
  auto client = r.service("client", "127.0.0.1/32");
  r.mapping(client, r.service("origin", "127.0.0.1/32"));
  return r;
}

} // namespace marchproxy::relay::testing
