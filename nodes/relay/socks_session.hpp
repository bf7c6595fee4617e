// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/session.hpp"
#include "nodes/wire/socks5.hpp"

namespace marchproxy::relay {

/// SOCKS5 CONNECT and UDP ASSOCIATE, without authentication or with a service's name and token.
///
/// Which credentials a flow needs is known only once its target is, so any are taken at first, and
/// the reply to the request says whether they held.
class socks_session final : public session {
public:
  using session::session;

private:
  enum class phase : std::uint8_t {
    greeting,
    credentials,
    request,
    routing,
    granted,
    associated,
    refused
  };

  void advance() override;
  void on_routed(route::outcome o) override;
  void on_deadline() override { close(); }
  /// @return false when more bytes are needed, or the session waits or is over
  [[nodiscard]] bool step();
  [[nodiscard]] bool on_greeting();
  [[nodiscard]] bool on_credentials();
  [[nodiscard]] bool on_request();
  void begin_association(const wire::host_port& announced);
  void become_association();
  void refuse(wire::socks5::reply_code code);

  phase phase_ = phase::greeting;
  identity::presented shown_;
  std::unique_ptr<stream> upstream_;
  net::unique_fd datagrams_;        ///< of an association, towards the client
  std::uint16_t datagram_port_ = 0; ///< that the client announced; 0: it did not say
};

} // namespace marchproxy::relay
