// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/wire/dns_message.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::wire {

/// Takes the parameter `ech` (SvcParamKey 5, RFC 9848) out of a name server's answer, so that
/// whoever reads it has no key to encrypt a server name with. All else stays byte for byte where it
/// was, but for:
/// - a `mandatory` list that names `ech` no longer does, and goes when it named nothing else;
/// - signatures over what was changed (RRSIG of that owner and type) go, and AD is cleared: they
///   would vouch for what nobody signed;
/// - the OPT record, which speaks for one hop only (RFC 6891 section 6.2.1), goes;
/// - lengths, counts and pointers follow.
/// One serves any number of messages, one after the other; it keeps its memory.
class ech_stripper {
public:
  struct outcome {
    std::size_t removed = 0;      ///< `ech` parameters
    std::optional<dns_edns> edns; ///< what the OPT record said
  };
  /// @param message  with one question
  /// @param out      overwritten; never longer than @p message
  /// @return nullopt: malformed, or compressed in a way that can't follow (a name that leads into
  /// what goes); @p out is of no use then
  [[nodiscard]] std::optional<outcome> strip(std::string_view message, std::string& out);

private:
  struct range {
    std::size_t begin;
    std::size_t end;
    std::size_t before = 0; ///< bytes that go in front of it
  };
  /// A 16-bit length that is another now.
  struct length {
    std::size_t at;
    std::size_t value;
  };
  using pointers = std::vector<dns_pointer>;

  void begin() noexcept;
  [[nodiscard]] bool look_at(std::string_view message, const dns_record& record, outcome& out);
  [[nodiscard]] bool cut_ech(std::string_view message, const dns_record& record, outcome& out);
  [[nodiscard]] bool cut_mandatory(std::string_view message, const range& param);
  void cut_record(const dns_record& record);
  void cut_signatures(std::string_view message);
  void order_cuts();
  [[nodiscard]] const range* last_cut_before(std::size_t at) const noexcept;
  [[nodiscard]] bool stays(std::size_t begin, std::size_t end) const noexcept;
  [[nodiscard]] std::size_t moved(std::size_t at) const noexcept;
  [[nodiscard]] bool
  name_stays(std::string_view message, const pointers& all, std::size_t at) const noexcept;
  [[nodiscard]] bool write(std::string_view message,
                           const pointers& all,
                           const dns_header& header,
                           std::string& out) const;

  std::vector<range> cuts_; ///< disjoint
  std::vector<length> lengths_;
  std::vector<dns_record> changed_;
  std::vector<dns_record> signatures_; ///< over SVCB and HTTPS records
  std::array<std::uint16_t, 4> cut_records_{};
};

} // namespace marchproxy::wire
