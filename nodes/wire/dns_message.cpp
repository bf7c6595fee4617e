// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/dns_message.hpp"

#include <algorithm>

namespace marchproxy::wire {

namespace {

constexpr std::size_t record_head = 10; // behind the owner: type, class, TTL, length of RDATA
constexpr unsigned pointer_mark = 0xc0;
constexpr unsigned pointer_bits = pointer_mark << 8U;
constexpr std::size_t pointer_size = 2;
constexpr std::uint32_t dnssec_ok = 0x8000;
constexpr unsigned most_jumps = 127; // no name has more labels, so more lead nowhere

unsigned byte(std::string_view in, std::size_t at) noexcept {
  return static_cast<std::uint8_t>(in[at]);
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_pointer(std::string_view in, std::size_t at) noexcept {
  return (byte(in, at) & pointer_mark) == pointer_mark;
}

/// Takes labels from @p at on, the root's too.
/// @return where the root's or a pointer stands; nullopt: they don't fit
std::optional<std::size_t>
append_labels(std::string_view in, std::size_t at, dns_name& out) noexcept {
  while (at < in.size()) {
    const auto head = byte(in, at);
    if (is_pointer(in, at))
      return at + pointer_size <= in.size() ? std::optional{at} : std::nullopt;
    if ((head & pointer_mark) != 0 || at + 1 + head > in.size()
        || out.size + 1 + head > dns_name::max_size)
      return std::nullopt;
    const auto label = in.substr(at, 1 + head);
    out.bytes[out.size] = label[0];
    std::transform(label.begin() + 1, label.end(), out.bytes.data() + out.size + 1, lower);
    out.size += label.size();
    if (head == 0)
      return at;
    at += label.size();
  }
  return std::nullopt;
}

void append_u16(std::string& out, std::size_t value) {
  out += static_cast<char>(value >> 8U & 0xffU);
  out += static_cast<char>(value & 0xffU);
}

/// Where names stand in RDATA.
struct names_in_data {
  dns_type type;
  std::size_t before; ///< bytes in front of the first
  unsigned names;
  std::optional<std::size_t> behind; ///< bytes; none: any number
};

/// Those of RFC 1035 and those that RFC 3597 section 4 says may come compressed all the same. In no
/// other type may a name be compressed, so their RDATA has nothing that depends on where it stands.
constexpr std::array<names_in_data, 21> with_names = {{
  {dns_type::ns, 0, 1, 0},    {dns_type::md, 0, 1, 0},    {dns_type::mf, 0, 1, 0},
  {dns_type::cname, 0, 1, 0}, {dns_type::soa, 0, 2, 20},  {dns_type::mb, 0, 1, 0},
  {dns_type::mg, 0, 1, 0},    {dns_type::mr, 0, 1, 0},    {dns_type::ptr, 0, 1, 0},
  {dns_type::minfo, 0, 2, 0}, {dns_type::mx, 2, 1, 0},    {dns_type::rp, 0, 2, 0},
  {dns_type::afsdb, 2, 1, 0}, {dns_type::rt, 2, 1, 0},    {dns_type::sig, 18, 1, {}},
  {dns_type::px, 2, 2, 0},    {dns_type::nxt, 0, 1, {}},  {dns_type::srv, 6, 1, 0},
  {dns_type::kx, 2, 1, 0},    {dns_type::dname, 0, 1, 0}, {dns_type::rrsig, 18, 1, {}},
}};

/// Three character strings stand before NAPTR's name (RFC 3403 section 4.1).
std::optional<std::size_t> before_naptr_name(std::string_view data) noexcept {
  std::size_t at = 4;
  for (int i = 0; i < 3; ++i) {
    if (at >= data.size())
      return std::nullopt;
    at += 1 + byte(data, at);
  }
  return at;
}

} // namespace

std::uint16_t dns_u16(std::string_view in, std::size_t at) noexcept {
  return static_cast<std::uint16_t>(byte(in, at) << 8U | byte(in, at + 1));
}

std::uint32_t dns_u32(std::string_view in, std::size_t at) noexcept {
  return std::uint32_t{dns_u16(in, at)} << 16U | dns_u16(in, at + 2);
}

void put_dns_u16(std::string& out, std::size_t at, std::size_t value) noexcept {
  out[at] = static_cast<char>(value >> 8U & 0xffU);
  out[at + 1] = static_cast<char>(value & 0xffU);
}

dns_header read_dns_header(std::string_view in) noexcept {
  dns_header out{dns_u16(in, 0), dns_u16(in, 2), {}};
  for (std::size_t i = 0; i < out.counts.size(); ++i)
    out.counts[i] = dns_u16(in, 4 + 2 * i);
  return out;
}

std::string write_dns_header(const dns_header& header) {
  std::string out;
  append_u16(out, header.id);
  append_u16(out, header.flags);
  for (auto count : header.counts)
    append_u16(out, count);
  return out;
}

std::string dns_name::text() const {
  std::string out;
  for (std::size_t at = 0; at + 1 < size;) {
    const auto label = view().substr(at + 1, byte(view(), at));
    if (label.find('.') != std::string_view::npos)
      return {};
    if (!out.empty())
      out += '.';
    out += label;
    at += label.size() + 1;
  }
  return out;
}

std::optional<dns_name> read_dns_name(std::string_view message,
                                      std::size_t at,
                                      std::optional<dns_pointer>* direct) noexcept {
  dns_name out;
  auto begin = at;             ///< of the part at hand
  auto limit = message.size(); ///< where the part at hand ends at the latest
  for (unsigned jumps = 0; jumps <= most_jumps; ++jumps) {
    const auto end = append_labels(message.substr(0, limit), at, out);
    if (!end)
      return std::nullopt;
    const auto pointer = is_pointer(message, *end);
    if (jumps == 0)
      out.end = *end + (pointer ? pointer_size : 1);
    if (!pointer)
      return out;
    // RFC 1035 4.1.4: to a prior occurrence, all of it. Never into the header, which has no name.
    const std::size_t target = dns_u16(message, *end) & ~pointer_bits;
    if (target >= begin || target < dns_header_size)
      return std::nullopt;
    if (jumps == 0 && direct != nullptr)
      *direct = dns_pointer{*end, target};
    limit = begin;
    begin = at = target;
  }
  return std::nullopt;
}

std::optional<dns_reader> dns_reader::open(std::string_view message) noexcept {
  if (message.size() < dns_header_size || message.size() > dns_max_message)
    return std::nullopt;
  dns_reader out{message};
  out.header_ = read_dns_header(message);
  if (out.header_.counts[0] != 1)
    return std::nullopt;
  auto name = read_dns_name(message, dns_header_size);
  if (!name || name->end + 4 > message.size())
    return std::nullopt;
  out.question_ = {*name, dns_u16(message, name->end), dns_u16(message, name->end + 2),
                   name->end + 4};
  out.at_ = out.question_.end;
  return out;
}

std::optional<std::size_t> dns_reader::skip_name(std::size_t at) {
  std::optional<dns_pointer> pointer;
  auto name = read_dns_name(message_, at, &pointer);
  if (!name)
    return std::nullopt;
  if (pointer)
    pointers_.push_back(*pointer);
  return name->end;
}

bool dns_reader::read_names(const dns_record& record) {
  const auto data = message_.substr(record.data, record.end - record.data);
  auto found = std::find_if(with_names.begin(), with_names.end(),
                            [&](const names_in_data& each) { return record.is(each.type); });
  names_in_data layout{dns_type::naptr, 0, 1, 0};
  if (record.is(dns_type::naptr)) {
    const auto before = before_naptr_name(data);
    if (!before)
      return false;
    layout.before = *before;
  } else if (found == with_names.end()) {
    return true;
  } else {
    layout = *found;
  }
  auto at = record.data + layout.before;
  for (unsigned i = 0; i < layout.names; ++i) {
    const auto end = at < record.end ? skip_name(at) : std::nullopt;
    if (!end || *end > record.end)
      return false;
    at = *end;
  }
  return !layout.behind || at + *layout.behind == record.end;
}

std::optional<dns_record> dns_reader::next() {
  while (section_ < header_.counts.size() && read_ == header_.counts[section_]) {
    ++section_;
    read_ = 0;
  }
  if (bad_ || section_ == header_.counts.size())
    return std::nullopt;
  bad_ = true; // until all of it fits
  std::optional<dns_pointer> pointer;
  auto owner = read_dns_name(message_, at_, &pointer);
  if (!owner || owner->end + record_head > message_.size())
    return std::nullopt;
  if (pointer)
    pointers_.push_back(*pointer);
  const auto head = owner->end;
  dns_record out{section_,
                 at_,
                 *owner,
                 dns_u16(message_, head),
                 dns_u16(message_, head + 2),
                 dns_u32(message_, head + 4),
                 head + record_head,
                 head + record_head + dns_u16(message_, head + 8)};
  if (out.end > message_.size() || !read_names(out))
    return std::nullopt;
  at_ = out.end;
  ++read_;
  bad_ = false;
  return out;
}

bool dns_reader::whole() const noexcept {
  auto section = section_;
  auto read = read_;
  for (; section < header_.counts.size() && read == header_.counts[section]; read = 0)
    ++section;
  return !bad_ && section == header_.counts.size() && at_ == message_.size();
}

std::optional<dns_edns> read_dns_edns(const dns_record& record) noexcept {
  constexpr unsigned additional = 3;
  if (!record.is(dns_type::opt) || record.section != additional || record.owner.size != 1)
    return std::nullopt;
  return dns_edns{record.cls, static_cast<std::uint8_t>(record.ttl >> 24U),
                  static_cast<std::uint8_t>(record.ttl >> 16U), (record.ttl & dnssec_ok) != 0};
}

std::string write_dns_edns(const dns_edns& edns) {
  std::string out(1, '\0');
  append_u16(out, static_cast<std::uint16_t>(dns_type::opt));
  append_u16(out, edns.size);
  append_u16(out, std::size_t{edns.high_rcode} << 8U | edns.version);
  append_u16(out, edns.dnssec ? dnssec_ok : 0);
  append_u16(out, 0);
  return out;
}

} // namespace marchproxy::wire
