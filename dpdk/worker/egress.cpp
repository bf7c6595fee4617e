// SPDX-License-Identifier: AGPL-3.0-only
// What becomes of a judged packet. hot path
#include "dpdk/worker/worker.hpp"

#include <cstddef>
#include <cstring>
#include <utility>

namespace marchproxy::packet_worker {

namespace {

/// An IP header in its frame.
struct header {
  std::byte* at;
  bool ipv6;

  [[nodiscard]] unsigned byte(std::size_t offset) const noexcept {
    return std::to_integer<unsigned>(at[offset]);
  }
  [[nodiscard]] std::size_t hops_at() const noexcept { return ipv6 ? 7 : 8; }
  [[nodiscard]] unsigned hops() const noexcept { return byte(hops_at()); }

  /// Headers that routers have to read beyond the addresses.
  [[nodiscard]] bool has_options() const noexcept {
    constexpr unsigned without_options = 0x45;
    return ipv6 ? byte(6) == MP_IP_HOP_BY_HOP : byte(0) != without_options;
  }
  [[nodiscard]] mp_address address(std::size_t at4, std::size_t at6) const noexcept {
    mp_address out{};
    if (ipv6) {
      std::memcpy(&out, at + at6, sizeof out);
      return out;
    }
    std::uint32_t raw = 0;
    std::memcpy(&raw, at + at4, sizeof raw);
    out.word[1] = mp_mapped_word(raw);
    return out;
  }
  [[nodiscard]] mp_address destination() const noexcept { return address(16, 24); }

  /// Sources that the kernel drops, or answers, but never routes.
  [[nodiscard]] bool odd_source() const noexcept {
    if (!ipv6)
      return byte(12) == 0 || byte(12) == 127 || byte(12) >= 224;
    auto from = address(12, 8);
    auto link_local = byte(8) == 0xfe && (byte(9) & 0xc0) == 0x80;
    auto loopback_or_none = from.word[0] == 0 && __builtin_bswap64(from.word[1]) <= 1;
    return byte(8) == 0xff || link_local || loopback_or_none;
  }

  /// One hop less, and IPv4's checksum with it (RFC 1624: the sum grows by 0x0100).
  void count_hop() const noexcept {
    constexpr std::size_t checksum_at = 10;
    at[hops_at()] = static_cast<std::byte>(hops() - 1);
    if (ipv6)
      return;
    std::uint16_t sum = 0;
    std::memcpy(&sum, at + checksum_at, sizeof sum);
    auto more = __builtin_bswap16(sum) + 0x0100U;
    sum = __builtin_bswap16(static_cast<std::uint16_t>(more + (more >> 16)));
    std::memcpy(at + checksum_at, &sum, sizeof sum);
  }
};

} // namespace

void worker::route(job& j, const frame& f) noexcept {
  constexpr auto group_bit = std::byte{1}; // of a hardware address: multicast, broadcast
  if (j.outcome > MP_LAST_PASSING) {
    if (j.told != 0 && j.to_us != 0)
      tell(j, f);
    else
      to_release_.add(f);
  } else if (j.to_us == 0 && (f.data[0] & group_bit) == std::byte{0}) {
    // For another machine on the link; a switch or a promiscuous card showed it to us.
    tally(way::other_host);
    to_release_.add(f);
  } else if (j.outcome == MP_TOTAL_passed_local || j.outcome == MP_TOTAL_passed_link) {
    tally(way::kernel_local);
    to_deliver_.add(f);
  } else {
    forward(j, f);
  }
}

/// The refused packet becomes what its sender is told.
void worker::tell(const job& j, const frame& f) noexcept {
  static_assert(sizeof(mp_refusal) <= packet_port::least_room);
  mp_refusal r{};
  auto out = f;
  out.size = mp_refuse(f, &j.packet, &r);
  if (out.size == 0)
    return to_release_.add(f);
  std::memcpy(&r.link, f.data, sizeof r.link);
  std::swap(r.link.source, r.link.destination);
  std::memcpy(f.data, reinterpret_cast<const std::byte*>(&r) + offsetof(mp_refusal, link),
              out.size);
  to_tell_.add(out);
}

std::uint32_t worker::hop_for(job& j, const frame& f) noexcept {
  // From the packet, not from its tuple: that of an ICMP error is the quoted packet's.
  auto look_up = [&] {
    return table_->find(header{f.data + j.packet.start, j.packet.ipv6 != 0}.destination());
  };
  if (j.entry == nullptr)
    return look_up();
  auto& cached = j.entry->hops[j.reply];
  if (cached.generation != table_->generation()) {
    auto hop = look_up();
    if (hop >= forwarding::table::first_missing)
      return hop;
    cached = {table_->generation(), hop};
  }
  return cached.hop;
}

void worker::forward(job& j, const frame& f) noexcept {
  auto to_kernel = [&](way why) {
    tally(why);
    to_deliver_.add(f);
  };
  const header ip{f.data + j.packet.start, j.packet.ipv6 != 0};
  if (j.packet.start != MP_LINK_BYTES || ip.has_options())
    return to_kernel(way::kernel_options);
  if (ip.odd_source())
    return to_kernel(way::kernel_source);
  if (ip.hops() <= 1)
    return to_kernel(way::kernel_hop_limit);
  auto index = hop_for(j, f);
  if (index >= forwarding::table::first_missing)
    return to_kernel(forwarding::table::why(index) == forwarding::missing::neighbour
                       ? way::kernel_neighbour
                       : way::kernel_route);
  const auto& hop = table_->at(index);
  if (j.packet.end - j.packet.start > hop.mtu)
    return to_kernel(way::kernel_size);
  std::memcpy(f.data, hop.destination.data(), hop.destination.size());
  std::memcpy(f.data + hop.destination.size(), hop.source.data(), hop.source.size());
  ip.count_hop();
  // Without the padding of short frames: the sending card makes its own.
  auto out = f;
  out.size = j.packet.end;
  to_send_[hop.port].add(out);
}

void worker::deliver(std::size_t port) noexcept {
  auto rest = to_deliver_.all();
  while (!rest.empty()) {
    rest = rest.subspan(ports_[port]->deliver(rest));
    if (rest.empty())
      break;
    tally(way::kernel_lost);
    to_release_.add(rest.front());
    rest = rest.subspan(1);
  }
  to_deliver_.count = 0;
}

void worker::finish(std::size_t port) noexcept {
  for (std::size_t to = 0; to < to_send_.size(); ++to) {
    auto& queue = to_send_[to];
    if (queue.count == 0)
      continue;
    auto taken = ports_[to]->send(queue.all());
    for (std::size_t i = 0; i < queue.count; ++i) {
      if (i < taken) {
        tally(way::forwarded_bytes, queue.frames[i].size);
      } else {
        tally(way::send_full);
        to_release_.add(queue.frames[i]);
      }
    }
    tally(way::forwarded, taken);
    totals_now_.value[MP_TOTAL_forwarded] += taken;
    queue.count = 0;
  }
  if (to_tell_.count > 0) {
    const auto taken = ports_[port]->send(to_tell_.all());
    totals_now_.value[MP_TOTAL_told] += taken;
    for (auto i = taken; i < to_tell_.count; ++i)
      to_release_.add(to_tell_.frames[i]);
    to_tell_.count = 0;
  }
  if (to_deliver_.count > 0)
    deliver(port);
  if (to_release_.count > 0)
    ports_[port]->release(to_release_.all());
  to_release_.count = 0;
}

} // namespace marchproxy::packet_worker
