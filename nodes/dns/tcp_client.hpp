// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/event_loop.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace marchproxy::dns {

/// A client's TCP connection (RFC 7766): questions in, each behind its length; answers out, in the
/// order in which they come to be known. It ends when the client ends it, sends what no question
/// is, or was silent for long; never with a question under way unless the client is gone.
class tcp_client final : public net::io_handler {
public:
  struct owner {
    std::function<void(tcp_client&, std::string_view question)> asked;
    std::function<void(tcp_client&)> ended; ///< it must live on until the turn ends
  };
  /// @param buffer  of any size; others use it in between
  tcp_client(net::event_loop& loop,
             net::accepted&& from,
             std::uint64_t id,
             std::span<char> buffer,
             const owner& to);
  tcp_client(const tcp_client&) = delete;
  tcp_client& operator=(const tcp_client&) = delete;
  ~tcp_client();

  /// @errors as event_loop::add
  [[nodiscard]] result<void> start();
  /// To one of its questions.
  void answer(std::string_view message);

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] const net::endpoint& peer() const noexcept { return peer_; }

private:
  void on_io(std::uint32_t events) override;
  [[nodiscard]] bool receive();
  [[nodiscard]] bool take_questions();
  [[nodiscard]] bool flush();
  void look_on();
  void end();

  net::event_loop& loop_;
  net::unique_fd fd_;
  net::endpoint peer_;
  std::uint64_t id_;
  std::span<char> buffer_;
  const owner& owner_;
  std::string in_;
  std::string out_;
  unsigned under_way_ = 0;
  bool half_closed_ = false; ///< the client asks no more
  bool over_ = false;
  std::uint32_t watched_ = 0;
  net::timer silent_;
};

} // namespace marchproxy::dns
