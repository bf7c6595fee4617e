// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/stream.hpp"

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace marchproxy::relay {

/// Connections to backends that wait for their next request, of one worker. One that its backend
/// closes, or that speaks unasked, is closed at once; one that nobody wanted for a while too.
///
/// Only for backends that every client may share a connection to: who may use one is judged before
/// it is asked for.
class upstream_pool {
public:
  struct limits {
    std::size_t idle = 1024;               ///< connections altogether
    std::chrono::milliseconds age{30'000}; ///< since the last request
  };

  /// A connection, and the address it leads to, which was judged when it was made.
  struct kept {
    std::unique_ptr<stream> link;
    ip_address address;
  };

  upstream_pool(net::event_loop& loop, limits of);
  upstream_pool(const upstream_pool&) = delete;
  upstream_pool& operator=(const upstream_pool&) = delete;
  ~upstream_pool() = default;

  /// The connection to @p target that was used last; none when none waits. It has to be given an
  /// owner at once.
  [[nodiscard]] kept take(std::string_view target);
  /// @param one  answered its last request whole
  void put(const std::string& target, kept one);
  [[nodiscard]] std::size_t size() const noexcept { return waiting_.size(); }
  void close_all();
  /// At the end of a turn: frees what was closed in its own callback.
  void bury() noexcept { dead_.clear(); }

private:
  struct waiting final : stream::owner {
    void on_ready() override;
    upstream_pool* of = nullptr;
    std::string target;
    upstream_pool::kept kept;
    net::clock::time_point since;
    std::list<waiting>::iterator place; ///< in of->waiting_
  };
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  [[nodiscard]] kept remove(waiting& w);
  void expire();

  net::event_loop& loop_;
  const limits limits_;
  std::list<waiting> waiting_; ///< the one that waits longest first
  std::unordered_map<std::string, std::vector<waiting*>, text_hash, std::equal_to<>> by_target_;
  std::vector<std::unique_ptr<stream>> dead_;
  net::timer expiry_;
};

} // namespace marchproxy::relay
