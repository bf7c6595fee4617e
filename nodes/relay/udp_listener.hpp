// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/datagram.hpp"
#include "nodes/relay/udp_session.hpp"

#include <array>
#include <memory>
#include <optional>
#include <span>

namespace marchproxy::relay {

/// One UDP socket that clients send to, and the sessions of those that did. A session is judged
/// when its first datagram comes, again when the revision changes, and ends when it was silent for
/// long. One that is refused stays as long, so that a client that goes on sending makes one record
/// and not one a datagram.
class udp_listener final : public connection, public net::io_handler, public udp_session_owner {
public:
  struct plan {
    net::unique_fd socket;
    entry via = entry::listener;
    std::optional<wire::host_port> target; ///< none: where the client meant to go (TPROXY)
    std::uint64_t seed = 0;                ///< of the sessions' hash
  };
  /// @errors as event_loop::add
  [[nodiscard]] static result<udp_listener*> open(context& c, plan p);
  udp_listener(const udp_listener&) = delete;
  udp_listener& operator=(const udp_listener&) = delete;
  ~udp_listener() override;

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  /// Sessions to another target end.
  void lead_to(const wire::host_port& target);
  /// A revision wants it no more: ends all sessions, and itself.
  void close();

  void start() override {}
  void on_new_revision() override;
  /// With a successor that reads the socket now, answers to what was asked before still go out
  /// until the sessions were silent for long; else all end.
  void on_drain() override;
  void abort() override { end(reason::shutting_down); }

private:
  udp_listener(context& c, plan p);
  void on_io(std::uint32_t events) override;
  [[nodiscard]] int answering_socket() const noexcept override { return socket_.get(); }
  void on_answer(udp_session& session) override;

  void take(std::span<const net::datagram> batch);
  void take_one(std::size_t at);
  [[nodiscard]] udp_session* session_of(const net::datagram& d);
  [[nodiscard]] udp_session* begin_session(const udp_session_key& key);
  void send_up();
  void drop(const net::datagram& d) noexcept;
  void erase(udp_session_entry& session);
  void end_sessions(reason why);
  void end_stale();
  void end_when_empty();
  void end(reason why);
  void stop_reading() noexcept;

  net::unique_fd socket_;
  bool reading_ = false;
  bool over_ = false;
  entry via_;
  std::optional<wire::host_port> target_;
  net::endpoint at_;
  answer_sockets answers_; ///< where there is no one target
  udp_session_table sessions_;
  net::timer stale_;

  // While a batch is sorted by sessions:
  std::span<const net::datagram> batch_;
  std::array<int, net::datagram_batch> next_{}; ///< of the same session; -1: none
  std::array<udp_session*, net::datagram_batch> touched_{};
  std::size_t touched_count_ = 0;
  udp_session* last_ = nullptr; ///< that a datagram was found to belong to
};

} // namespace marchproxy::relay
