// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/wire/dns_ech.hpp"

#include <algorithm>

namespace marchproxy::wire {

namespace {

enum svc_param : std::uint16_t { mandatory = 0, ech = 5 };
constexpr std::size_t param_head = 4; // key and length
constexpr std::size_t key_size = 2;
constexpr std::size_t priority_size = 2;

bool has_params(std::uint16_t type) noexcept {
  return type == static_cast<std::uint16_t>(dns_type::svcb)
         || type == static_cast<std::uint16_t>(dns_type::https);
}

/// The type that a signature is over stands first in it (RFC 4034 section 3.1).
std::uint16_t covered(std::string_view message, const dns_record& signature) noexcept {
  return dns_u16(message, signature.data);
}

} // namespace

std::optional<ech_stripper::outcome> ech_stripper::strip(std::string_view message,
                                                         std::string& out) {
  begin();
  outcome told;
  auto reader = dns_reader::open(message);
  if (!reader)
    return std::nullopt;
  while (auto record = reader->next())
    if (!look_at(message, *record, told))
      return std::nullopt;
  if (!reader->whole())
    return std::nullopt;
  cut_signatures(message);
  order_cuts();
  auto header = reader->header();
  for (std::size_t i = 0; i < header.counts.size(); ++i)
    header.counts[i] = static_cast<std::uint16_t>(header.counts[i] - cut_records_[i]);
  if (told.removed > 0)
    header.flags = static_cast<std::uint16_t>(header.flags & ~unsigned{dns_authentic_data});
  if (!write(message, reader->pointers(), header, out))
    return std::nullopt;
  return told;
}

void ech_stripper::begin() noexcept {
  cuts_.clear();
  lengths_.clear();
  changed_.clear();
  signatures_.clear();
  cut_records_ = {};
}

bool ech_stripper::look_at(std::string_view message, const dns_record& record, outcome& out) {
  if (record.is(dns_type::opt)) {
    // RFC 6891 6.1.1: one at most.
    if (out.edns)
      return false;
    out.edns = read_dns_edns(record);
    cut_record(record);
    return out.edns.has_value();
  }
  if (has_params(record.type))
    return cut_ech(message, record, out);
  if (record.is(dns_type::rrsig) && has_params(covered(message, record)))
    signatures_.push_back(record);
  return true;
}

/// RFC 9460 section 2.2: priority, a target that is never compressed, parameters in ascending
/// order of their keys. What is not so, a client might read in its own way.
bool ech_stripper::cut_ech(std::string_view message, const dns_record& record, outcome& out) {
  std::optional<dns_pointer> pointer;
  const auto target = read_dns_name(message, record.data + priority_size, &pointer);
  if (!target || pointer || target->end > record.end)
    return false;
  std::optional<range> required;
  std::optional<range> found;
  int last = -1;
  for (auto at = target->end; at < record.end;) {
    if (at + param_head > record.end)
      return false;
    const auto key = dns_u16(message, at);
    const range param{at, at + param_head + dns_u16(message, at + key_size)};
    if (key <= last || param.end > record.end)
      return false;
    if (key == mandatory)
      required = param;
    else if (key == ech)
      found = param;
    last = key;
    at = param.end;
  }
  if (!found)
    return true;
  const auto before = cuts_.size();
  if (required && !cut_mandatory(message, *required))
    return false;
  cuts_.push_back(*found);
  auto size = record.end - record.data;
  for (auto i = before; i < cuts_.size(); ++i)
    size -= cuts_[i].end - cuts_[i].begin;
  lengths_.push_back({record.data - sizeof(std::uint16_t), size});
  changed_.push_back(record);
  ++out.removed;
  return true;
}

bool ech_stripper::cut_mandatory(std::string_view message, const range& param) {
  const auto value = param.begin + param_head;
  const auto size = param.end - value;
  if (size == 0 || size % key_size != 0)
    return false;
  std::size_t named = 0;
  for (auto at = value; at < param.end; at += key_size)
    named += dns_u16(message, at) == ech ? key_size : 0;
  if (named == size) { // an empty list is malformed
    cuts_.push_back(param);
    return true;
  }
  for (auto at = value; at < param.end; at += key_size)
    if (dns_u16(message, at) == ech)
      cuts_.push_back({at, at + key_size});
  lengths_.push_back({param.begin + key_size, size - named});
  return true;
}

void ech_stripper::cut_record(const dns_record& record) {
  cuts_.push_back({record.begin, record.end});
  ++cut_records_[record.section];
}

void ech_stripper::cut_signatures(std::string_view message) {
  for (const auto& each : signatures_) {
    const auto over = [&](const dns_record& changed) {
      return changed.type == covered(message, each) && changed.owner.view() == each.owner.view();
    };
    if (std::any_of(changed_.begin(), changed_.end(), over))
      cut_record(each);
  }
}

void ech_stripper::order_cuts() {
  std::sort(cuts_.begin(), cuts_.end(),
            [](const range& a, const range& b) { return a.begin < b.begin; });
  std::sort(lengths_.begin(), lengths_.end(),
            [](const length& a, const length& b) { return a.at < b.at; });
  std::size_t before = 0;
  for (auto& each : cuts_) {
    each.before = before;
    before += each.end - each.begin;
  }
}

/// The last one that begins before @p at; null: none does.
const ech_stripper::range* ech_stripper::last_cut_before(std::size_t at) const noexcept {
  auto next =
    std::lower_bound(cuts_.begin(), cuts_.end(), at,
                     [](const range& each, std::size_t value) { return each.begin < value; });
  return next == cuts_.begin() ? nullptr : &*(next - 1);
}

/// Nothing of these bytes goes or becomes another.
bool ech_stripper::stays(std::size_t begin, std::size_t end) const noexcept {
  const auto* cut = last_cut_before(end);
  const auto next = std::lower_bound(
    lengths_.begin(), lengths_.end(), begin,
    [](const length& each, std::size_t value) { return each.at + sizeof(std::uint16_t) <= value; });
  return (cut == nullptr || cut->end <= begin) && (next == lengths_.end() || next->at >= end);
}

/// Where a byte that stays is then.
std::size_t ech_stripper::moved(std::size_t at) const noexcept {
  const auto* cut = last_cut_before(at + 1);
  return cut == nullptr ? at : at - cut->before - (cut->end - cut->begin);
}

/// The part of a name that begins at @p at stays what it is: none of it goes, and the pointer that
/// ends it, if one does, is one that is followed.
bool ech_stripper::name_stays(std::string_view message,
                              const pointers& all,
                              std::size_t at) const noexcept {
  const auto begin = at;
  constexpr unsigned longest_label = 63;
  while (true) {
    const auto head = static_cast<std::uint8_t>(message[at]);
    if (head > longest_label)
      break;
    at += std::size_t{1} + head;
    if (head == 0)
      return stays(begin, at);
  }
  auto known =
    std::lower_bound(all.begin(), all.end(), at,
                     [](const dns_pointer& each, std::size_t value) { return each.at < value; });
  return known != all.end() && known->at == at && stays(begin, at + 2);
}

bool ech_stripper::write(std::string_view message,
                         const pointers& all,
                         const dns_header& header,
                         std::string& out) const {
  out = write_dns_header(header);
  auto from = dns_header_size;
  for (const auto& cut : cuts_) {
    out += message.substr(from, cut.begin - from);
    from = cut.end;
  }
  out += message.substr(from);
  for (const auto& each : lengths_)
    put_dns_u16(out, moved(each.at), each.value);
  if (cuts_.empty())
    return true;
  constexpr std::size_t pointer_mark = 0xc000;
  for (const auto& each : all) {
    if (!stays(each.at, each.at + 2))
      continue;
    if (!name_stays(message, all, each.target))
      return false;
    put_dns_u16(out, moved(each.at), pointer_mark | moved(each.target));
  }
  return true;
}

} // namespace marchproxy::wire
