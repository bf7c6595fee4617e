// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/datagram.hpp"
#include "nodes/relay/udp_flow.hpp"

#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

namespace marchproxy::relay {

/// SOCKS5 UDP ASSOCIATE (RFC 1928 section 7): a client's datagrams to many targets, as long as the
/// connection that asked for it stands.
///
/// Takes datagrams from the client's address only, and from the port that it announced or first
/// used. Gives back only what comes from where an open flow leads to.
class udp_association final : public connection, public stream::owner {
public:
  struct parts {
    std::unique_ptr<stream> control;
    net::unique_fd socket; ///< towards the client
    net::endpoint client;  ///< port 0: the first datagram tells
    identity::presented shown;
  };
  udp_association(context& c, parts p);
  ~udp_association() override;

  void start() override;
  void on_new_revision() override;
  void on_drain() override {}
  void abort() override;

private:
  /// One of the association's sockets.
  class socket_watch final : public net::io_handler {
  public:
    explicit socket_watch(std::function<void()> then) : then_(std::move(then)) {}
    void on_io(std::uint32_t /*events*/) override { then_(); }
    net::unique_fd fd;
    bool watched = false;

  private:
    std::function<void()> then_;
  };
  /// Towards targets of one family, made when the first is met.
  struct upstream {
    explicit upstream(std::function<void()> then) : socket(std::move(then)) {}
    socket_watch socket;
    net::datagram_writer out;
  };
  struct endpoint_hash {
    std::size_t operator()(const net::endpoint& e) const noexcept;
  };
  using name_key = std::pair<std::string, std::uint16_t>;
  struct name_less {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const noexcept {
      return std::pair<std::string_view, std::uint16_t>{a.first, a.second}
             < std::pair<std::string_view, std::uint16_t>{b.first, b.second};
    }
  };

  void on_ready() override;
  void on_client();
  void on_client_datagram(const net::datagram& d);
  void on_upstream(upstream& from);
  [[nodiscard]] udp_flow* flow_to(const wire::host_port& target);
  [[nodiscard]] udp_flow* begin_flow(const wire::host_port& target);
  void on_settled(udp_flow& f);
  void send_up(udp_flow& f, std::string_view bytes);
  [[nodiscard]] upstream* upstream_of(ip_family family);
  [[nodiscard]] bool watch(socket_watch& s);
  void unwatch(socket_watch& s) noexcept;
  void flush();
  void drop_stale();
  void forget(const udp_flow& f);
  void finish();

  static constexpr std::size_t max_flows = 256;

  std::unique_ptr<stream> control_;
  net::endpoint client_;
  identity::presented shown_;
  socket_watch towards_client_;
  upstream v4_;
  upstream v6_;
  net::datagram_writer down_;
  std::vector<std::unique_ptr<udp_flow>> flows_;
  // A target that is asked for by address is another flow than a name that leads there: it is
  // judged by the address alone.
  std::unordered_map<net::endpoint, udp_flow*, endpoint_hash> by_address_;
  std::map<name_key, udp_flow*, name_less> by_name_;
  std::unordered_map<net::endpoint, udp_flow*, endpoint_hash> senders_; ///< who may answer
  net::timer stale_;
  bool over_ = false;
};

} // namespace marchproxy::relay
