// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "nodes/tls/channel.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace marchproxy::tls {

/// Whom a connection is to reach.
struct server_demand {
  std::string name; ///< a DNS name, which is told (SNI) and must be the certificate's
  std::optional<ip_address> address = {}; ///< or else the certificate may have this instead
  bool verify = true;                     ///< false: any certificate will do
  bool http = true;                       ///< HTTP/1.1 will be spoken (ALPN)
};

/// The client side of TLS. Any thread; connections belong to the thread that has them.
class connector {
public:
  /// @param authorities  PEM of those who vouch for servers; empty: the system's
  /// @errors invalid_argument when the file cannot be used; internal when OpenSSL cannot do what we
  /// want of it
  [[nodiscard]] static result<std::shared_ptr<const connector>>
  create(const std::filesystem::path& authorities, encryption by = encryption::library);
  connector(const connector&) = delete;
  connector& operator=(const connector&) = delete;
  ~connector() = default;

  /// The client's end of a connection that was made. Its handshake fails unless the server is whom
  /// @p wanted says.
  [[nodiscard]] std::unique_ptr<channel> connect(int fd, const server_demand& wanted) const;

private:
  connector() = default;
  ssl_ctx_ptr context_;
};

} // namespace marchproxy::tls
