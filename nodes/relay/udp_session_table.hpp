// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/socket.hpp"
#include "nodes/net/timer_wheel.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

namespace marchproxy::relay {

/// What makes a session of datagrams that came to one socket.
struct udp_session_key {
  net::endpoint client;
  net::endpoint to; ///< where the client sent them, as far as the socket tells

  bool operator==(const udp_session_key&) const = default;
};

struct by_use : net::list_node {};
struct of_source : net::list_node {};

/// A session as the table knows it.
class udp_session_entry : public by_use, public of_source {
public:
  explicit udp_session_entry(const udp_session_key& key) : key_(key) {}
  udp_session_entry(const udp_session_entry&) = delete;
  udp_session_entry& operator=(const udp_session_entry&) = delete;
  virtual ~udp_session_entry() = default;

  [[nodiscard]] const udp_session_key& key() const noexcept { return key_; }
  [[nodiscard]] net::clock::time_point last_use() const noexcept { return last_use_; }
  [[nodiscard]] bool established() const noexcept { return established_; }

private:
  friend class udp_session_table;
  udp_session_key key_;
  net::clock::time_point last_use_{};
  net::list_node* of_its_source_ = nullptr;
  bool established_ = false;
};

/// The sessions of one socket: found by their key, ended in the order of their last use, and never
/// more than the caps say, whoever sends. One that is established, since both sides have spoken and
/// the client again, is not ended early for another source's sake: one datagram may be forged, and
/// a question that has its answer needs its session no more.
class udp_session_table {
public:
  struct caps {
    std::size_t sessions = 0;
    std::size_t of_source = 0; ///< of one address, or of one /64 of IPv6
  };
  /// @param seed  of the hash: who does not know it cannot choose addresses that collide
  udp_session_table(const caps& most, std::uint64_t seed);
  udp_session_table(const udp_session_table&) = delete;
  udp_session_table& operator=(const udp_session_table&) = delete;
  ~udp_session_table() = default;

  /// Null when there is none.
  [[nodiscard]] udp_session_entry* find(const udp_session_key& key) noexcept;

  /// What stands in the way of one more session.
  struct room {
    bool free = true;
    udp_session_entry* instead = nullptr; ///< when not free: who may end for it; null: nobody
  };
  [[nodiscard]] room room_for(const ip_address& from) noexcept;
  /// There must be room, and no session of that key.
  void insert(std::unique_ptr<udp_session_entry> session, net::clock::time_point now);
  /// Destroys it.
  void erase(udp_session_entry& session);

  /// Notes that datagrams passed.
  void used(udp_session_entry& session, net::clock::time_point now) noexcept;
  /// Notes that the client went on after an answer.
  void establish(udp_session_entry& session) noexcept;
  /// The one that was silent for longest; null when there is none.
  [[nodiscard]] udp_session_entry* oldest() noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return sessions_.size(); }
  /// Calls @p visit with each; it may erase that one.
  template <class Visit>
  void for_each(Visit visit) {
    for (auto* list : {&begun_, &established_})
      for (auto* node = list->next(); node != list;) {
        auto& session = entry_of(*node);
        node = node->next();
        visit(session);
      }
  }

private:
  struct key_hash {
    std::uint64_t seed;
    std::size_t operator()(const udp_session_key& key) const noexcept;
  };
  struct source_hash {
    std::uint64_t seed;
    std::size_t operator()(const ip_address& source) const noexcept;
  };
  struct source {
    std::size_t count = 0;
    net::list_node sessions; ///< least recently used first
  };
  [[nodiscard]] static udp_session_entry& entry_of(net::list_node& node) noexcept {
    return static_cast<udp_session_entry&>(static_cast<by_use&>(node));
  }

  caps most_;
  std::unordered_map<udp_session_key, std::unique_ptr<udp_session_entry>, key_hash> sessions_;
  std::unordered_map<ip_address, source, source_hash> sources_;
  net::list_node begun_; ///< least recently used first, as the other
  net::list_node established_;
};

} // namespace marchproxy::relay
