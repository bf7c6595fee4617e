// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "dpdk/worker/burst_lookup.hpp"

namespace marchproxy::packet_worker {

namespace {

constexpr std::size_t line = 64;

} // namespace

void burst_lookup::read_entry(end& e) const noexcept {
  if (e.at != 0)
    e.entry = mp_entry(image_, e.at);
  if ((e.entry & MP_ENTRY_NODE) != 0)
    __builtin_prefetch(unit(e.entry & ~MP_ENTRY_NODE & ~3U));
}

/// As mp_down, but for the last read of memory.
void burst_lookup::step(end& e, std::uint32_t slot) const noexcept {
  e.at = 0;
  if ((e.entry & MP_ENTRY_NODE) == 0)
    return;
  const auto* node = reinterpret_cast<const mp_node*>(unit(e.entry & ~MP_ENTRY_NODE & ~3U));
  if (node->entries == 0) {
    e.entry = mp_slot(image_, node, slot);
    return;
  }
  e.at = node->entries + (mp_run(node, slot) & 0xffU);
  ahead_of(e);
}

void burst_lookup::ahead_of_list(std::uint32_t ref) const noexcept {
  const auto* at = unit(ref);
  for (std::size_t i = 0; i < 3; ++i)
    __builtin_prefetch(at + i * line);
}

bool burst_lookup::start_match(walk& w) const noexcept {
  const auto& t = *w.tuple;
  auto& m = w.match;
  m.source = w.source.entry & ~MP_ENTRY_NODE;
  m.best = MP_NO_RANK;
  set_protocol(m, t);
  auto group = mp_group(image_, header_of(image_).groups, m.protocol, m.port);
  if (mp_match_fan(image_, &m, w.target.entry & ~MP_ENTRY_NODE, group) == 0)
    return false;
  ahead_of_list(m.list);
  return true;
}

void burst_lookup::run() noexcept {
  auto each = [this](auto what) {
    for (std::size_t i = 0; i < count_; ++i)
      what(walks_[i]);
  };
  auto read = [this](walk& w) {
    read_entry(w.source);
    read_entry(w.target);
  };
  each(read);
  for (unsigned shift : {8U, 0U}) {
    each([&](walk& w) {
      step(w.source, ipv4_of(w.tuple->source) >> shift & 0xff);
      step(w.target, ipv4_of(w.tuple->destination) >> shift & 0xff);
    });
    each(read);
  }
  each([this](const walk& w) { __builtin_prefetch(unit(w.target.entry & ~7U)); });
  std::size_t going = 0;
  for (std::size_t i = 0; i < count_; ++i)
    if (start_match(walks_[i]))
      going_[going++] = static_cast<std::uint8_t>(i);
  while (going > 0) {
    std::size_t left = 0;
    for (std::size_t i = 0; i < going; ++i) {
      auto& m = walks_[going_[i]].match;
      if (mp_match_list(image_, &m) == 0)
        continue;
      ahead_of_list(m.list);
      going_[left++] = going_[i];
    }
    going = left;
  }
  each([this](walk& w) { *w.to = deciding_rule(image_, w.match, *w.tuple); });
}

} // namespace marchproxy::packet_worker
