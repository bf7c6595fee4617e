// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bpf/loader/installer.hpp"
#include "nodes/net/socket.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace marchproxy::netd {

// Requests, in the order of their numbers. Both ends are of one version (hello), so they may change
// from one to the next.

struct probe {};
struct load_tc {
  tier_ebpf::load_options options;
};
struct load_xdp {};
/// Comes with a descriptor of a file that holds the image.
struct make_image {
  std::uint32_t pages = 0; ///< of MP_PAGE_SIZE
};
struct make_counter_block {};
struct attach_tc {
  int ifindex = 0;
};
struct detach_tc {
  int ifindex = 0;
};
struct attach_xdp {
  int ifindex = 0;
  tier_ebpf::xdp_mode mode{};
};
struct detach_xdp {
  int ifindex = 0;
  tier_ebpf::xdp_mode mode{};
};
struct listen_tcp {
  net::endpoint at;
  net::listen_options options;
};
struct bind_udp {
  net::endpoint at;
  net::udp_options options;
};
/// Comes with a descriptor of the socket.
struct widen_receive_buffer {
  std::uint32_t bytes = 0;
};
struct clear_xdp {
  int ifindex = 0;
};
using request = std::variant<probe,
                             load_tc,
                             load_xdp,
                             make_image,
                             make_counter_block,
                             attach_tc,
                             detach_tc,
                             attach_xdp,
                             detach_xdp,
                             listen_tcp,
                             bind_udp,
                             widen_receive_buffer,
                             clear_xdp>;

constexpr std::uint32_t most_connections = 16'777'216;
constexpr std::uint32_t most_pages = 131'072; ///< 512 MiB
constexpr std::uint32_t widest_buffer = 64 << 20;
constexpr int longest_backlog = 65'535;

// Replies: any number of given, then done or an error.

enum class given_kind : std::uint8_t { program, map, only };
/// Comes with a descriptor.
struct given {
  given_kind kind = given_kind::only;
  std::string name; ///< of a program or map
};
struct done {
  tier_ebpf::probe_report report; ///< of probe
};
using reply = std::variant<given, done, error>;

/// Little-endian, without padding; texts with a length of two bytes before them.
[[nodiscard]] std::string encode(const request& r);
/// @errors invalid_argument when a value is beyond its bounds or bytes are missing or left
[[nodiscard]] result<request> decode_request(std::string_view bytes);
/// Texts of errors and reports are cut where a message would become too long.
[[nodiscard]] std::string encode(const reply& r);
/// @errors corrupt
[[nodiscard]] result<reply> decode_reply(std::string_view bytes);

/// What netd says first on each channel.
[[nodiscard]] std::string hello();

} // namespace marchproxy::netd
