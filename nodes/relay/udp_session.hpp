// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/event_loop.hpp"
#include "nodes/relay/answer_sockets.hpp"
#include "nodes/relay/udp_flow.hpp"
#include "nodes/relay/udp_session_table.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

namespace marchproxy::relay {

class udp_session;

/// Whose sessions they are: the socket that clients send to.
class udp_session_owner {
public:
  /// Where answers go out from, unless the session has a socket for that.
  [[nodiscard]] virtual int answering_socket() const noexcept = 0;
  /// Datagrams of the target have passed.
  virtual void on_answer(udp_session& session) = 0;

protected:
  ~udp_session_owner() = default;
};

/// The datagrams between one client and the target that they came for. It has a connected socket
/// of its own towards the target, so only the target can answer, and the kernel tells when nobody
/// is there.
class udp_session final : public udp_session_entry, public net::io_handler {
public:
  struct plan {
    udp_session_key key;
    entry via = entry::listener;
    wire::host_port target;
    net::endpoint listening;     ///< where the client's datagrams came in
    answer_sockets* answer_from; ///< not null: answers come from where the client sent, by these
  };
  udp_session(context& c, udp_session_owner& owner, const plan& p);
  udp_session(const udp_session&) = delete;
  udp_session& operator=(const udp_session&) = delete;
  ~udp_session() override;

  /// Judges; for a name the answer may come in a later turn.
  void start();
  void judge_again();
  /// The record says @p why it ended, unless it was refused anyway.
  void fail(reason why);

  [[nodiscard]] udp_flow::state now() const noexcept { return flow_.now(); }
  /// Whether the target has answered.
  [[nodiscard]] bool answered() const noexcept { return answered_; }
  /// Keeps datagrams that came before the verdict.
  void hold(const net::datagram& d);

  /// Sends datagrams of the client on: begin_up(), up() for each, finish_up().
  void begin_up() noexcept;
  void up(const net::datagram& d);
  void finish_up() noexcept;

  /// Its part of a batch that is being sorted, as the owner links it.
  struct chain {
    int first = -1;
    int last = -1;
  };
  chain in_batch;

private:
  void on_settled();
  [[nodiscard]] bool open_upstream();
  [[nodiscard]] bool leads_back() const noexcept;
  void on_io(std::uint32_t events) override;
  [[nodiscard]] std::size_t answer();
  void expect(std::size_t answers) noexcept;
  /// Hands @p d to the writer, as far as the limits let it. @return how many datagrams
  [[nodiscard]] std::size_t write(const net::datagram& d);
  /// @param added  datagrams that the writer was given
  [[nodiscard]] net::run_writer::tally settle(std::size_t added, std::uint16_t& most) noexcept;

  context& context_;
  udp_session_owner& owner_;
  net::endpoint listening_;
  answer_sockets* answer_sockets_;
  answer_sockets::socket answers_; ///< null: the owner's
  udp_flow flow_;
  net::unique_fd upstream_; ///< none: not allowed, or it could not be made
  std::uint16_t most_up_;   ///< run_writer::way::most_segment, each way
  std::uint16_t most_down_;
  bool answered_ = false;
  std::size_t written_ = 0;  ///< since begin_up()
  std::size_t expected_ = 1; ///< answers, next time
  net::clock::time_point last_read_{};
  net::clock::time_point last_sent_{};
  /// When the kernel told that the target is not there; none: it did not, since the last answer.
  std::optional<net::clock::time_point> unreachable_;
};

} // namespace marchproxy::relay
