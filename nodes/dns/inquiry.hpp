// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/dns/client_question.hpp"
#include "nodes/net/event_loop.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::dns {

/// Whom to ask, and how long.
struct upstream {
  std::vector<net::endpoint> servers;      ///< in the order of preference
  std::chrono::milliseconds timeout{2000}; ///< of one try
  unsigned rounds = 2;                     ///< tries of each server that does not answer
};

/// One question on its way to the name servers: to one after the other, until one answers it. Each
/// try is a UDP socket of its own with an id of its own, so that who answers in a server's place
/// has to guess both; an answer that does not fit is fetched by TCP. A server that fails or refuses
/// (SERVFAIL, REFUSED and the like) is not asked again, and what it said is the answer only if no
/// other has a better one.
class inquiry final : public net::io_handler {
public:
  struct outcome {
    std::string_view answer; ///< with the question that was asked; empty: no server answered
    std::size_t server = 0;  ///< index of the one to begin with next time
  };
  /// Called once, in a later turn than ask(). The inquiry must live on until the turn ends.
  using done = std::function<void(const outcome&)>;

  struct plan {
    const client_question& question; ///< outlives it, as do all of these
    const upstream& to;
    std::size_t first = 0;  ///< index of the server to begin with
    std::span<char> buffer; ///< of dns_max_message bytes; others use it in between
  };
  inquiry(net::event_loop& loop, const plan& p, done tell);
  inquiry(const inquiry&) = delete;
  inquiry& operator=(const inquiry&) = delete;
  ~inquiry();

  void ask();

private:
  enum class answer_kind { foreign, whole, truncated, failure };

  void on_io(std::uint32_t events) override;
  void next_try();
  [[nodiscard]] bool begin_udp();
  void begin_tcp();
  void read_udp();
  void advance_tcp();
  [[nodiscard]] bool send_rest();
  [[nodiscard]] bool receive_rest();
  [[nodiscard]] answer_kind kind_of(std::string_view message) const;
  void take(std::string_view message);
  void watch(net::unique_fd fd, std::uint32_t events);
  void stop_watching() noexcept;
  void finish(std::string_view answer);

  net::event_loop& loop_;
  plan plan_;
  done tell_;
  net::unique_fd fd_;
  bool by_tcp_ = false;
  bool over_ = false;
  std::size_t tries_ = 0;
  std::size_t server_ = 0;   ///< asked now
  std::vector<bool> failed_; ///< servers that said so
  std::string failure_;      ///< what the last of them said
  std::string out_;          ///< the question as sent; by TCP with its length, the rest of it
  std::string in_;           ///< by TCP
  std::uint16_t id_ = 0;
  net::timer patience_;
};

} // namespace marchproxy::dns
