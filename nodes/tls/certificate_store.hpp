// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/tls/certificate_set.hpp"
#include "nodes/tls/file_watch.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace marchproxy::tls {

/// Whom the certificates of clients are to be vouched for by.
struct client_authorities {
  store_ptr store;
  names_ptr names; ///< told to clients, so that they choose a certificate
};

/// What handshakes use, as it was on disk at one moment. Immutable.
struct material {
  certificate_set certificates{{}};
  std::shared_ptr<const client_authorities> clients; ///< null: no client can be verified
  std::vector<std::string>
    problems; ///< with what is on disk now, for people; what was in force stays
};

/// The certificates of a directory and a file of client CAs, which are read again when they change.
/// A pair or file that cannot be used changes nothing: what was in force before stays so.
class certificate_store {
public:
  struct places {
    std::filesystem::path directory; ///< NAME.crt and NAME.key
    std::filesystem::path client_ca; ///< PEM; empty: none
  };
  /// @param report  what is wrong, each time that something is read; may be called in a thread of
  /// the store's own
  /// @errors invalid_argument when the directory is none, or the client CAs cannot be used;
  /// unavailable as file_watch
  [[nodiscard]] static result<std::unique_ptr<certificate_store>>
  open(places where, std::function<void(const std::string&)> report);
  certificate_store(const certificate_store&) = delete;
  certificate_store& operator=(const certificate_store&) = delete;
  ~certificate_store() = default;

  /// Any thread; never null.
  [[nodiscard]] std::shared_ptr<const material> current() const { return current_.load(); }

private:
  certificate_store(places where, std::function<void(const std::string&)> report);
  void reread();
  void read_pairs(const material& before, material& into) const;
  void read_clients(const material& before, material& into) const;
  [[nodiscard]] std::string state_of_files() const;

  const places where_;
  const std::function<void(const std::string&)> report_;
  std::mutex reading_;
  std::string read_; ///< state_of_files() that current_ comes from
  std::atomic<std::shared_ptr<const material>> current_;
  std::unique_ptr<file_watch> watch_; ///< last: its thread uses the rest
};

} // namespace marchproxy::tls
