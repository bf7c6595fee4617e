// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// DNS messages for tests, here and in nodes/dns.

#include "nodes/wire/dns_message.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::wire::testing {

inline std::string dns_number(std::size_t n, int bytes) {
  std::string out;
  for (auto shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(n >> shift & 0xff);
  return out;
}

/// `a.test` as labels, with the root's.
inline std::string dns_labels(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const auto label = name.substr(0, name.find('.'));
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  return out + '\0';
}

inline std::string dns_pointer_to(std::size_t at) {
  return dns_number(0xc000 | at, 2);
}

inline std::string dns_record_of(const std::string& owner,
                                 dns_type type,
                                 const std::string& data,
                                 std::uint32_t ttl = 60,
                                 std::uint16_t cls = dns_class_in) {
  return owner + dns_number(static_cast<std::uint16_t>(type), 2) + dns_number(cls, 2)
         + dns_number(ttl, 4) + dns_number(data.size(), 2) + data;
}

inline std::string dns_param(std::size_t key, const std::string& value) {
  return dns_number(key, 2) + dns_number(value.size(), 2) + value;
}

/// RDATA of an SVCB or HTTPS record.
inline std::string dns_svc(const std::string& params, const std::string& target = {"\0", 1}) {
  return dns_number(1, 2) + target + params;
}

/// RDATA of a signature over @p covered, by `test`.
inline std::string dns_signature(dns_type covered) {
  return dns_number(static_cast<std::uint16_t>(covered), 2) + std::string(16, 'x')
         + dns_labels("test") + "signature";
}

struct dns_sections {
  std::vector<std::string> answers = {};
  std::vector<std::string> authority = {};
  std::vector<std::string> additional = {};
};

/// An answer, as a name server gives it, to a question for a name's records of a type.
inline std::string dns_answer(std::string_view name,
                              dns_type type,
                              const dns_sections& sections,
                              unsigned flags = dns_response | dns_recursion_desired
                                               | dns_recursion_available | dns_authentic_data) {
  dns_header header{0x1234, static_cast<std::uint16_t>(flags), {1, 0, 0, 0}};
  std::string records;
  std::size_t i = 1;
  for (const auto* section : {&sections.answers, &sections.authority, &sections.additional}) {
    header.counts[i++] = static_cast<std::uint16_t>(section->size());
    for (const auto& each : *section)
      records += each;
  }
  return write_dns_header(header) + dns_labels(name)
         + dns_number(static_cast<std::uint16_t>(type), 2) + dns_number(dns_class_in, 2) + records;
}

/// A client's question.
inline std::string dns_question_for(std::string_view name,
                                    dns_type type,
                                    const std::vector<std::string>& additional = {},
                                    unsigned flags = dns_recursion_desired) {
  return dns_answer(name, type, {.additional = additional}, flags);
}

/// Where the name of the question stands, in every message.
inline const std::string dns_the_question = dns_pointer_to(dns_header_size);

} // namespace marchproxy::wire::testing
