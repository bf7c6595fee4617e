// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/dns/client_question.hpp"

#include <algorithm>

namespace marchproxy::dns {

namespace {

constexpr std::size_t least_udp_size = 512; // RFC 1035 4.2.1; RFC 6891 6.2.3
constexpr unsigned opcode_bits = 0x7800;
constexpr unsigned rcode_bits = 0xf;
constexpr std::uint16_t first_meta_type = 128; // RFC 6895 3.1: to 255, no types of records
constexpr std::uint16_t any_type = 255;
constexpr std::size_t additional = 3;

bool is_meta(const wire::dns_question& asked) noexcept {
  return asked.is(wire::dns_type::opt) || (asked.type >= first_meta_type && asked.type < any_type);
}

/// All of it is read, so that no server is sent what it reads otherwise.
rcode read_records(wire::dns_reader& reader, client_question& out) {
  while (auto record = reader.next()) {
    if (!record->is(wire::dns_type::opt))
      continue;
    if (out.edns)
      return rcode::format_error;
    out.edns = wire::read_dns_edns(*record);
    if (!out.edns)
      return rcode::format_error;
  }
  if (!reader.whole())
    return rcode::format_error;
  return out.edns && out.edns->version != 0 ? rcode::bad_version : rcode::no_error;
}

/// Appends our OPT record where the client sent one (RFC 6891 section 7).
void answer_edns(const client_question& to, unsigned code, std::string& message) {
  if (!to.edns)
    return;
  message +=
    wire::write_dns_edns({udp_size, static_cast<std::uint8_t>(code >> 4U), 0, to.edns->dnssec});
  const auto count = wire::read_dns_header(message).counts[additional];
  wire::put_dns_u16(message, 4 + 2 * additional, count + std::size_t{1});
}

} // namespace

std::size_t client_question::most_by_udp() const noexcept {
  return edns ? std::clamp<std::size_t>(edns->size, least_udp_size, udp_size) : least_udp_size;
}

std::optional<read_question> parse_question(std::string_view message) {
  if (message.size() < wire::dns_header_size)
    return std::nullopt;
  read_question out;
  auto& question = out.question;
  question.header = wire::read_dns_header(message);
  // Two that answer each other's answers would never end.
  if (question.header.has(wire::dns_response))
    return std::nullopt;
  if (question.header.opcode() != 0) {
    out.verdict = rcode::not_implemented;
    return out;
  }
  auto reader = wire::dns_reader::open(message);
  if (!reader || question.header.counts[1] != 0 || question.header.counts[2] != 0) {
    out.verdict = rcode::format_error;
    return out;
  }
  question.asked = reader->question();
  question.section =
    message.substr(wire::dns_header_size, reader->question().end - wire::dns_header_size);
  out.verdict = read_records(*reader, question);
  // Zone transfers and the like are nobody's business here, nor is what is not of the Internet.
  if (out.verdict == rcode::no_error
      && (is_meta(*question.asked) || question.asked->cls != wire::dns_class_in))
    out.verdict = rcode::refused;
  return out;
}

std::string question_to_server(const client_question& from, std::uint16_t id) {
  constexpr unsigned passed_on =
    wire::dns_recursion_desired | wire::dns_authentic_data | wire::dns_checking_disabled;
  const auto flags = static_cast<std::uint16_t>(from.header.flags & passed_on);
  return wire::write_dns_header({id, flags, {1, 0, 0, 1}}) + from.section
         + wire::write_dns_edns({udp_size, 0, 0, from.edns && from.edns->dnssec});
}

std::string bare_answer(const client_question& to, rcode code, unsigned flags) {
  const auto number = static_cast<unsigned>(code);
  constexpr unsigned echoed =
    opcode_bits | wire::dns_recursion_desired | wire::dns_checking_disabled;
  flags |= wire::dns_response | wire::dns_recursion_available | (to.header.flags & echoed)
           | (number & rcode_bits);
  const std::uint16_t questions = to.section.empty() ? 0 : 1;
  auto out =
    wire::write_dns_header({to.header.id, static_cast<std::uint16_t>(flags), {questions, 0, 0, 0}})
    + to.section;
  answer_edns(to, number, out);
  return out;
}

std::string client_answer(const client_question& to,
                          std::string answer,
                          const std::optional<wire::dns_edns>& edns,
                          std::size_t most) {
  const auto header = wire::read_dns_header(answer);
  const auto code = full_rcode(header, edns);
  if (!to.edns && code > rcode_bits)
    return bare_answer(to, rcode::server_failure);
  wire::put_dns_u16(answer, 0, to.header.id);
  answer_edns(to, code, answer);
  if (answer.size() <= most)
    return answer;
  return bare_answer(to, static_cast<rcode>(code), wire::dns_truncated);
}

unsigned full_rcode(const wire::dns_header& header,
                    const std::optional<wire::dns_edns>& edns) noexcept {
  return (edns ? unsigned{edns->high_rcode} << 4U : 0U) | header.rcode();
}

} // namespace marchproxy::dns
