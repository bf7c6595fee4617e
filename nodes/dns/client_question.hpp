// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/wire/dns_message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// A resolver for clients, which passes their questions on (docs/resolver.md).
namespace marchproxy::dns {

/// Those of RFC 1035 and RFC 6891 that we say ourselves. Any other may be a name server's.
enum class rcode : std::uint16_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  name_error = 3,
  not_implemented = 4,
  refused = 5,
  bad_version = 16,
};

/// The longest message that we take by UDP and, whatever a client takes, send: it needs no
/// fragments on any usual path (DNS flag day 2020).
constexpr std::uint16_t udp_size = 1232;

/// What a client asks, as far as it is passed on or decides the answer's form.
struct client_question {
  wire::dns_header header;
  std::optional<wire::dns_question> asked; ///< none: it could not be read
  std::string section;                     ///< the question's bytes, in the client's spelling
  std::optional<wire::dns_edns> edns;

  /// The longest answer that it takes by UDP.
  [[nodiscard]] std::size_t most_by_udp() const noexcept;
};

/// A question, and why it is not passed on.
struct read_question {
  client_question question;
  rcode verdict = rcode::no_error;
};
/// @return nullopt: nothing that is answered, not even by an error: no header, or an answer
[[nodiscard]] std::optional<read_question> parse_question(std::string_view message);

/// The same question as ours to a name server. Of the client's EDNS only the wish for signatures
/// goes on: options are for the next hop (RFC 6891 section 6.2.1), and some would tell who asks.
[[nodiscard]] std::string question_to_server(const client_question& from, std::uint16_t id);

/// An answer without a record, for what the resolver itself has to say.
/// @param flags  besides those that every answer has
[[nodiscard]] std::string bare_answer(const client_question& to, rcode code, unsigned flags = 0);

/// A name server's answer as the client's, whose EDNS it follows.
/// @param answer  without an OPT record
/// @param edns    what its OPT record said
/// @param most    if it is longer: TC and no record, so that the client asks by TCP
[[nodiscard]] std::string client_answer(const client_question& to,
                                        std::string answer,
                                        const std::optional<wire::dns_edns>& edns,
                                        std::size_t most);

/// With the bits that EDNS adds.
[[nodiscard]] unsigned full_rcode(const wire::dns_header& header,
                                  const std::optional<wire::dns_edns>& edns) noexcept;

} // namespace marchproxy::dns
