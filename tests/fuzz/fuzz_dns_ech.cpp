// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/error.hpp"
#include "nodes/wire/dns_ech.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace marchproxy;
using namespace marchproxy::wire;

namespace {

struct reading {
  bool whole = false;
  dns_header header;
  std::vector<dns_record> records;
};

reading read(std::string_view in) {
  reading out;
  auto reader = dns_reader::open(in);
  if (!reader)
    return out;
  out.header = reader->header();
  while (auto record = reader->next())
    out.records.push_back(*record);
  out.whole = reader->whole();
  return out;
}

bool has_params(const dns_record& record) {
  return record.is(dns_type::svcb) || record.is(dns_type::https);
}

/// By another reading than the product's: keys as they stand behind the target name.
bool has_ech(std::string_view message, const dns_record& record) {
  auto at = record.data + 2;
  while (message[at] != 0)
    at += std::size_t{1} + static_cast<std::uint8_t>(message[at]);
  for (++at; at < record.end; at += std::size_t{4} + dns_u16(message, at + 2))
    if (dns_u16(message, at) == 5)
      return true;
  return false;
}

} // namespace

/// What is read of the result is what was read before, in the same order, but for what the header
/// says: no `ech`, no OPT record, no signature over what was changed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static ech_stripper stripper;
  const std::string_view in{reinterpret_cast<const char*>(data), size};
  std::string out;
  const auto told = stripper.strip(in, out);
  const auto before = read(in);
  if (!told)
    return 0;
  MP_INVARIANT(before.whole && out.size() <= in.size());
  const auto after = read(out);
  MP_INVARIANT(after.whole && after.header.id == before.header.id);
  MP_INVARIANT(told->removed == 0 ? after.header.flags == before.header.flags
                                  : !after.header.has(dns_authentic_data));
  std::vector<const dns_record*> changed;
  for (const auto& record : before.records)
    if (has_params(record) && has_ech(in, record))
      changed.push_back(&record);
  const auto goes = [&](const dns_record& record) {
    return record.is(dns_type::opt)
           || (record.is(dns_type::rrsig)
               && std::any_of(changed.begin(), changed.end(), [&](const dns_record* each) {
                    return each->type == dns_u16(in, record.data)
                           && each->owner.view() == record.owner.view();
                  }));
  };
  auto kept = after.records.begin();
  for (const auto& record : before.records) {
    if (goes(record))
      continue;
    MP_INVARIANT(kept != after.records.end() && kept->type == record.type
                 && kept->section == record.section && kept->cls == record.cls
                 && kept->ttl == record.ttl && kept->owner.view() == record.owner.view());
    const auto size_before = record.end - record.data;
    const auto size_after = kept->end - kept->data;
    const auto had = has_params(record) && has_ech(in, record);
    MP_INVARIANT(had ? size_after < size_before : size_after == size_before);
    MP_INVARIANT(!has_params(*kept) || !has_ech(out, *kept));
    ++kept;
  }
  MP_INVARIANT(kept == after.records.end() && changed.size() == told->removed);
  std::string again;
  const auto twice = stripper.strip(out, again);
  MP_INVARIANT(twice && twice->removed == 0 && again == out);
  return 0;
}
