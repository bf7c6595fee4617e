// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/traffic.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <netinet/in.h>

#include <array>
#include <cstring>
#include <ctime>

namespace marchproxy::tier_ebpf {

namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::string endpoint(const ip_address& address, std::uint16_t port) {
  auto text = marchproxy::to_string(address);
  return (address.family == ip_family::v6 ? "[" + text + "]" : text) + ":" + std::to_string(port);
}

std::chrono::nanoseconds since(std::chrono::nanoseconds now, std::uint64_t then) {
  return now - std::chrono::nanoseconds{static_cast<std::int64_t>(then)};
}

std::string_view state_name(std::uint8_t state) {
  switch (state) {
  case MP_STATE_OPENING:
    return "opening";
  case MP_STATE_ESTABLISHED:
    return "established";
  case MP_STATE_CLOSED:
    return "closed";
  default: // of a number
    return "datagram";
  }
}

} // namespace

std::chrono::nanoseconds coarse_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

mp_address to_abi(const ip_address& address) noexcept {
  std::array<std::uint8_t, 16> bytes = address.bytes;
  if (address.family == ip_family::v4) {
    std::memcpy(bytes.data(), mapped_prefix.data(), mapped_prefix.size());
    std::memcpy(bytes.data() + mapped_prefix.size(), address.bytes.data(), 4);
  }
  mp_address out{};
  std::memcpy(&out, bytes.data(), sizeof out);
  return out;
}

ip_address from_abi(const mp_address& address) noexcept {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address, bytes.size());
  return ip_address::v6(bytes); // which holds mapped addresses as IPv4
}

mp_tuple to_abi(const five_tuple& tuple) noexcept {
  mp_tuple out{};
  out.source = to_abi(tuple.source);
  out.destination = to_abi(tuple.destination);
  out.source_port = tuple.source_port;
  out.destination_port = tuple.destination_port;
  out.protocol = tuple.protocol;
  return out;
}

five_tuple from_abi(const mp_tuple& tuple) noexcept {
  return {from_abi(tuple.source), from_abi(tuple.destination), tuple.source_port,
          tuple.destination_port, tuple.protocol};
}

std::string to_string(const five_tuple& tuple) {
  std::string protocol = std::to_string(tuple.protocol);
  if (tuple.protocol == IPPROTO_TCP)
    protocol = "tcp";
  else if (tuple.protocol == IPPROTO_UDP)
    protocol = "udp";
  else if (tuple.protocol == IPPROTO_ICMP || tuple.protocol == IPPROTO_ICMPV6)
    protocol = "icmp";
  return protocol + " " + endpoint(tuple.source, tuple.source_port) + " -> "
         + endpoint(tuple.destination, tuple.destination_port);
}

std::string_view to_string(event_kind kind) noexcept {
  switch (kind) {
  case event_kind::opened:
    return "opened";
  case event_kind::denied:
    return "denied";
  case event_kind::cut:
    return "cut";
  case event_kind::limited:
    return "limited";
  case event_kind::observed:
    return "observed";
  }
  return "unknown";
}

word_parts parts_of(std::uint64_t verdict_word) noexcept {
  auto flags = MP_VERDICT_FLAGS(verdict_word);
  word_parts out;
  out.generation = static_cast<std::uint32_t>(MP_VERDICT_GENERATION(verdict_word));
  out.verdict = policy::verdict_of_rule(static_cast<std::uint32_t>(flags),
                                        mapping_id{MP_VERDICT_MAPPING(verdict_word)}, {});
  return out;
}

connection to_connection(const mp_flow_key& key, const mp_flow& flow) {
  connection out;
  out.tuple = from_abi(key.ends);
  if (flow.originator != 0) {
    std::swap(out.tuple.source, out.tuple.destination);
    std::swap(out.tuple.source_port, out.tuple.destination_port);
  }
  auto now = coarse_now();
  out.verdict_word = flow.verdict;
  out.age = since(now, flow.created);
  out.idle = since(now, flow.last_seen);
  out.packets = flow.packets[0];
  out.bytes = flow.bytes[0];
  out.reply_packets = flow.packets[1];
  out.reply_bytes = flow.bytes[1];
  out.state = state_name(flow.state);
  return out;
}

flow_event to_event(const mp_event& e) {
  flow_event out;
  out.kind = static_cast<event_kind>(e.type);
  out.tuple = from_abi(e.tuple);
  out.verdict = parts_of(e.verdict).verdict;
  out.verdict.revision = marchproxy::revision{e.revision};
  out.ifindex = static_cast<int>(e.ifindex);
  out.monotonic = std::chrono::nanoseconds{static_cast<std::int64_t>(e.time)};
  return out;
}

total_text text_of(mp_total which) noexcept {
  static constexpr std::array<total_text, MP_TOTAL_COUNT> texts{{
#define MP_X(name, text) {#name, text},
    MP_TOTALS(MP_X)
#undef MP_X
  }};
  return texts[which];
}

mp_totals read_totals(int fd) {
  std::uint32_t zero = 0;
  std::vector<mp_totals> each(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  mp_totals out{};
  if (bpf_map_lookup_elem(fd, &zero, each.data()) != 0)
    return out;
  for (const auto& cpu : each)
    for (std::size_t i = 0; i < MP_TOTAL_COUNT; ++i)
      out.value[i] += cpu.value[i];
  return out;
}

std::map<std::string, std::uint64_t> by_name(const mp_totals& totals) {
  std::map<std::string, std::uint64_t> out;
  for (std::size_t i = 0; i < MP_TOTAL_COUNT; ++i)
    out.emplace(text_of(static_cast<mp_total>(i)).name, totals.value[i]);
  return out;
}

} // namespace marchproxy::tier_ebpf
