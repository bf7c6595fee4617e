// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "nodes/dns/client_question.hpp"

#include <cstdint>
#include <string>
#include <string_view>

using namespace marchproxy;
using namespace marchproxy::dns;

namespace {

/// All of it can be read. @return its records
unsigned read_whole(std::string_view message) {
  auto reader = wire::dns_reader::open(message);
  MP_INVARIANT(reader.has_value());
  unsigned records = 0;
  while (reader->next())
    ++records;
  MP_INVARIANT(reader->whole());
  return records;
}

} // namespace

/// Whatever a client sends: what goes to a name server is one question, the client's, and one OPT
/// record; every answer has the client's id, can be read, and by UDP is no longer than it may be.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view in{reinterpret_cast<const char*>(data), size};
  auto read = parse_question(in);
  MP_INVARIANT(read || size < wire::dns_header_size || (data[2] & 0x80U) != 0);
  if (!read)
    return 0;
  const auto& question = read->question;
  for (auto code : {rcode::refused, rcode::bad_version}) {
    const auto refusal = bare_answer(question, code);
    const auto header = wire::read_dns_header(refusal);
    MP_INVARIANT(header.id == wire::dns_u16(in, 0) && header.has(wire::dns_response));
    MP_INVARIANT(!question.asked || read_whole(refusal) == (question.edns ? 1U : 0U));
    MP_INVARIANT(refusal.size() <= question.most_by_udp());
  }
  if (read->verdict != rcode::no_error)
    return 0;
  const auto sent = question_to_server(question, 0x4242);
  const auto asked = wire::dns_reader::open(sent);
  MP_INVARIANT(asked && asked->question().same_as(*question.asked) && asked->header().id == 0x4242);
  MP_INVARIANT(read_whole(sent) == 1);
  // As long an answer as one likes, without records: padding that no client could read is cut off.
  auto answer =
    wire::write_dns_header({0x4242, wire::dns_response, {1, 0, 0, 0}}) + question.section;
  const auto given = client_answer(question, answer, std::nullopt, question.most_by_udp());
  MP_INVARIANT(wire::read_dns_header(given).id == question.header.id);
  MP_INVARIANT(read_whole(given) == (question.edns ? 1U : 0U));
  answer.resize(2000, '\0');
  const auto cut = client_answer(question, answer, std::nullopt, question.most_by_udp());
  MP_INVARIANT(cut.size() <= question.most_by_udp() && read_whole(cut) <= 1);
  MP_INVARIANT(wire::read_dns_header(cut).has(wire::dns_truncated));
  return 0;
}
