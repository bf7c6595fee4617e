// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/context.hpp"
#include "nodes/relay/grace.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::relay {

/// The datagrams between one client and one target: judged once, again when the revision changes,
/// and over when it was silent for long. What is refused stays as long, so that a client that goes
/// on sending makes one record and not one a datagram.
class udp_flow {
public:
  enum class state : std::uint8_t { asking, open, refused };

  /// @param shown  must outlive the flow
  udp_flow(context& c,
           entry via,
           const net::endpoint& client,
           const wire::host_port& target,
           const identity::presented& shown);
  udp_flow(const udp_flow&) = delete;
  udp_flow& operator=(const udp_flow&) = delete;
  /// The record is handed on.
  ~udp_flow();

  /// Judges, and asks for the name's addresses where it takes them.
  /// @param then  called once when the flow is open or refused: from here for an address, in a
  /// later turn for a name
  void start(std::function<void()> then);
  /// Judges again by the snapshot in force. Only for a flow that is open.
  void judge_again();

  [[nodiscard]] state now() const noexcept { return state_; }
  [[nodiscard]] const wire::host_port& target() const noexcept { return target_; }
  /// The address that was judged, and the port. Only for a flow that is open.
  [[nodiscard]] net::endpoint to() const noexcept { return {*record_.address, target_.port}; }
  /// Keeps a datagram that came before the answer. Few are kept, as a client sends again.
  void hold(std::string_view bytes);
  [[nodiscard]] std::vector<std::string> take_held() noexcept { return std::move(held_); }

  /// Whether its datagrams or bytes are limited, so that lets_pass() has to be asked.
  [[nodiscard]] bool metered() const noexcept { return admitted_.metered(); }
  /// Whether its limits let a datagram of @p bytes pass; else it is counted as dropped.
  [[nodiscard]] bool lets_pass(std::size_t bytes);
  /// @param bytes  in all of them
  void count_up(std::size_t bytes, std::size_t datagrams = 1) noexcept;
  void count_down(std::size_t bytes, std::size_t datagrams = 1) noexcept;
  [[nodiscard]] net::clock::time_point last_moved() const noexcept { return last_moved_; }
  void fail(reason why) { context_.failed(record_, why); }

private:
  static constexpr std::size_t max_held = 8;

  [[nodiscard]] question ask() const noexcept;
  void on_resolved(const net::resolve_result& answer);
  void judge_addresses(const std::vector<ip_address>& addresses);
  void settle(judgement j, const std::optional<ip_address>& address);
  void cut();

  context& context_;
  wire::host_port target_;
  const identity::presented& shown_;
  decision_record record_;
  limiting::admission admitted_;
  grace grace_;
  state state_ = state::asking;
  std::function<void()> then_;
  net::resolution resolution_;
  std::vector<std::string> held_;
  net::clock::time_point last_moved_;
};

} // namespace marchproxy::relay
