// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/wire/host.hpp"
#include "nodes/wire/parse_state.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// What a TLS client says in the clear before anything is encrypted. Sources: RFC 8446
/// sections 4.1.2 and 5.1, RFC 6066 section 3 (server_name), RFC 7301 (ALPN), RFC 9849 (ECH).
namespace marchproxy::wire {

enum class client_hello_error : std::uint8_t {
  none,
  not_tls,             ///< another protocol: the first bytes are no TLS record
  unexpected_record,   ///< a TLS record that is no handshake, where the hello is or should be
  empty_record,        ///< a handshake record without a byte
  record_too_long,     ///< more than 2^14 bytes
  too_many_records,    ///< more than max_records for one hello
  not_client_hello,    ///< a handshake message of another type
  too_long,            ///< more than max_size
  bad_structure,       ///< lengths that do not fit into each other
  duplicate_extension, ///< one of those read here, twice
  bad_server_name,     ///< not exactly one DNS name; an address is none (RFC 6066)
  bad_alpn,
  bad_versions,
  bad_ech,
};
/// The enumerator's name.
[[nodiscard]] std::string_view to_string(client_hello_error e) noexcept;

/// What is used of a ClientHello. The views point into the bytes given to scan(), or into the
/// scanner when the hello came in several records.
struct client_hello {
  host server_name; ///< empty: none was sent
  std::uint16_t legacy_version = 0;
  std::string_view alpn;     ///< as sent: names of 1 to 255 bytes, each behind its length
  std::string_view versions; ///< supported_versions as sent, two bytes each; empty: none was sent
  bool encrypted = false;    ///< ECH, outer: server_name is not the name meant, or ECH is feigned
                             ///< (GREASE), which nobody but the server can tell

  [[nodiscard]] bool offers_alpn(std::string_view protocol) const noexcept;
  /// @param version  as on the wire: 0x0304 is TLS 1.3
  [[nodiscard]] bool offers_version(std::uint16_t version) const noexcept;
};

/// Reads the ClientHello at the beginning of a connection while its bytes trickle in, in however
/// many records; looks at each byte once, and says the same however they were split. What it takes
/// for `not_tls` no TLS server takes for a hello with a server name; what it cannot read of a TLS
/// client is an error, not a hello without a name.
class client_hello_scanner {
public:
  static constexpr std::size_t max_size =
    std::size_t{16} * 1024; ///< of the message, without records
  static constexpr unsigned max_records = 64;

  struct outcome {
    parse_state state = parse_state::need_more;
    client_hello_error error = client_hello_error::none;
  };
  /// @param in  the connection's bytes so far, from its first
  [[nodiscard]] outcome scan(std::string_view in);
  /// After complete, while the bytes last.
  [[nodiscard]] const client_hello& hello() const noexcept { return hello_; }

private:
  [[nodiscard]] outcome enter_record(std::string_view head) noexcept;
  [[nodiscard]] client_hello_error enter_message(char next) noexcept;
  [[nodiscard]] std::string_view gather(std::string_view rest);

  static constexpr std::size_t message_head = 4;
  std::size_t seen_ = 0; ///< bytes of the connection that are done with
  std::size_t left_ = 0; ///< bytes of the record at hand that are not
  unsigned records_ = 0;
  std::size_t head_seen_ = 0; ///< bytes of the message's head
  std::size_t size_ = 0;      ///< of the message's body, as its head says
  std::string joined_;        ///< the body, when it is in more than one record
  client_hello hello_;
};

} // namespace marchproxy::wire
