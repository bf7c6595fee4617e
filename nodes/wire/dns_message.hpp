// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// DNS messages, read strictly. Sources: RFC 1035 section 4, RFC 3597 (which types may compress
/// names), RFC 6891 (EDNS), RFC 9460 (SVCB and HTTPS).
namespace marchproxy::wire {

/// Types that are treated differently from others. Any 16-bit number may be one.
enum class dns_type : std::uint16_t {
  a = 1,
  ns = 2,
  md = 3,
  mf = 4,
  cname = 5,
  soa = 6,
  mb = 7,
  mg = 8,
  mr = 9,
  ptr = 12,
  minfo = 14,
  mx = 15,
  rp = 17,
  afsdb = 18,
  rt = 21,
  sig = 24,
  px = 26,
  aaaa = 28,
  nxt = 30,
  srv = 33,
  naptr = 35,
  kx = 36,
  dname = 39,
  opt = 41,
  rrsig = 46,
  svcb = 64,
  https = 65,
};

constexpr std::uint16_t dns_class_in = 1;
constexpr std::size_t dns_header_size = 12;
constexpr std::size_t dns_max_message = 65'535;

/// Bits of the header's second word.
enum dns_flag : std::uint16_t {
  dns_response = 0x8000,
  dns_authoritative = 0x0400,
  dns_truncated = 0x0200,
  dns_recursion_desired = 0x0100,
  dns_recursion_available = 0x0080,
  dns_authentic_data = 0x0020,
  dns_checking_disabled = 0x0010,
};

struct dns_header {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::array<std::uint16_t, 4> counts{}; ///< questions, answers, authority, additional

  [[nodiscard]] bool has(dns_flag flag) const noexcept { return (flags & flag) != 0; }
  [[nodiscard]] unsigned opcode() const noexcept { return flags >> 11U & 0xfU; }
  /// The header's four bits; EDNS has more.
  [[nodiscard]] unsigned rcode() const noexcept { return flags & 0xfU; }
};
/// @param in  at least dns_header_size bytes
[[nodiscard]] dns_header read_dns_header(std::string_view in) noexcept;
/// The dns_header_size bytes.
[[nodiscard]] std::string write_dns_header(const dns_header& header);

/// A name without compression, in lower case: labels behind their lengths, the root's last.
struct dns_name {
  static constexpr std::size_t max_size = 255;

  std::array<char, max_size> bytes{};
  std::size_t size = 0;
  std::size_t end = 0; ///< where the message goes on behind it

  [[nodiscard]] std::string_view view() const noexcept { return {bytes.data(), size}; }
  /// With dots and no final one; empty for the root, and for a label that has a dot in it.
  [[nodiscard]] std::string text() const;
};

/// Where a compressed name goes on elsewhere in the message.
struct dns_pointer {
  std::size_t at = 0; ///< of its two bytes
  std::size_t target = 0;
};

/// The name at @p at, its pointers followed. Each of them leads further towards the beginning, so
/// none can make a loop. @param direct  is told the pointer that stands at the name itself, if any
/// @return nullopt: malformed
[[nodiscard]] std::optional<dns_name> read_dns_name(
  std::string_view message, std::size_t at, std::optional<dns_pointer>* direct = nullptr) noexcept;

struct dns_record {
  unsigned section = 0; ///< index of dns_header::counts
  std::size_t begin = 0;
  dns_name owner;
  std::uint16_t type = 0;
  std::uint16_t cls = 0;
  std::uint32_t ttl = 0;
  std::size_t data = 0; ///< where RDATA begins
  std::size_t end = 0;

  [[nodiscard]] bool is(dns_type t) const noexcept { return type == static_cast<std::uint16_t>(t); }
};

struct dns_question {
  dns_name name;
  std::uint16_t type = 0;
  std::uint16_t cls = 0;
  std::size_t end = 0; ///< where the records begin

  [[nodiscard]] bool is(dns_type t) const noexcept { return type == static_cast<std::uint16_t>(t); }
  [[nodiscard]] bool same_as(const dns_question& other) const noexcept {
    return name.view() == other.name.view() && type == other.type && cls == other.cls;
  }
};

/// Walks a message that has one question. Whatever does not fit ends the walk.
class dns_reader {
public:
  /// @return nullopt: no header with one question and all of it
  [[nodiscard]] static std::optional<dns_reader> open(std::string_view message) noexcept;

  [[nodiscard]] const dns_header& header() const noexcept { return header_; }
  [[nodiscard]] const dns_question& question() const noexcept { return question_; }
  /// The next record, with its owner's compression and that of the names in RDATA in pointers().
  /// @return nullopt: there is none left, or the message is malformed
  [[nodiscard]] std::optional<dns_record> next();
  /// All records were read, and nothing stands behind them.
  [[nodiscard]] bool whole() const noexcept;
  /// Of the records read so far, in their order.
  [[nodiscard]] const std::vector<dns_pointer>& pointers() const noexcept { return pointers_; }

private:
  explicit dns_reader(std::string_view message) noexcept : message_(message) {}
  [[nodiscard]] std::optional<std::size_t> skip_name(std::size_t at);
  [[nodiscard]] bool read_names(const dns_record& record);

  std::string_view message_;
  dns_header header_;
  dns_question question_;
  std::vector<dns_pointer> pointers_;
  std::size_t at_ = 0;
  unsigned section_ = 1;
  unsigned read_ = 0; ///< records of the section
  bool bad_ = false;
};

/// What EDNS says of a message.
struct dns_edns {
  std::uint16_t size = 0; ///< the longest message that its sender takes by UDP
  std::uint8_t high_rcode = 0;
  std::uint8_t version = 0;
  bool dnssec = false; ///< signatures are wanted (DO)
};
/// @return nullopt: the record is not as RFC 6891 has it
[[nodiscard]] std::optional<dns_edns> read_dns_edns(const dns_record& record) noexcept;
/// An OPT record without options.
[[nodiscard]] std::string write_dns_edns(const dns_edns& edns);

[[nodiscard]] std::uint16_t dns_u16(std::string_view in, std::size_t at) noexcept;
[[nodiscard]] std::uint32_t dns_u32(std::string_view in, std::size_t at) noexcept;
void put_dns_u16(std::string& out, std::size_t at, std::size_t value) noexcept;

} // namespace marchproxy::wire
