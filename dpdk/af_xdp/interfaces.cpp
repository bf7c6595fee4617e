// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/af_xdp/interfaces.hpp"

#include "bpf/loader/descriptor.hpp"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace marchproxy::af_xdp {

namespace {

using tier_ebpf::descriptor;

constexpr std::uint32_t most_queues = 64;
constexpr int most_small = 1700;   ///< MTU that fits a buffer of 2 KiB
constexpr int greatest_mtu = 3500; ///< of one buffer of 4 KiB; XDP wants a frame in one page

struct interface_facts {
  int mtu = 0;
  std::uint32_t queues = 1;
};

result<interface_facts> facts_of(const std::string& name) {
  descriptor socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  if (name.size() >= IFNAMSIZ)
    return fail(errc::not_found, "interface " + name + " does not exist");
  std::strncpy(&request.ifr_name[0], name.c_str(), IFNAMSIZ - 1);
  if (!socket || ::ioctl(socket.get(), SIOCGIFMTU, &request) != 0)
    return fail(errc::not_found, "interface " + name + ": " + std::strerror(errno));
  interface_facts out{request.ifr_mtu, 1};
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  request.ifr_data = reinterpret_cast<char*>(&channels);
  // A driver that cannot tell has one queue.
  if (::ioctl(socket.get(), SIOCETHTOOL, &request) == 0)
    out.queues = std::max(1U, channels.combined_count + channels.rx_count);
  if (out.mtu > greatest_mtu)
    return fail(errc::unsupported, "interface " + name + ": MTU " + std::to_string(out.mtu)
                                     + " is above " + std::to_string(greatest_mtu));
  if (out.queues > most_queues)
    return fail(errc::unsupported, "interface " + name + ": " + std::to_string(out.queues)
                                     + " receive queues, more than one worker serves");
  return out;
}

} // namespace

result<void>
interfaces::add(const std::string& name, std::uint32_t queues, const interface_options& options) {
  auto ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
  auto program = redirect::load(ifindex);
  if (!program)
    return tl::unexpected(program.error());
  for (std::uint32_t queue = 0; queue < queues; ++queue) {
    socket_port::place at{name, queue, sockets_.empty(), options.copy_only};
    auto socket = socket_port::open(at, *buffers_, entry_);
    if (!socket)
      return tl::unexpected(socket.error());
    if (auto ok = program->bring(queue, (*socket)->fd()); !ok)
      return ok;
    sockets_.push_back(std::move(*socket));
    indices_.push_back(ifindex);
  }
  cards_.push_back({std::move(*program)});
  return {};
}

result<std::unique_ptr<interfaces>> interfaces::open(std::span<const std::string> names,
                                                     const interface_options& options) {
  std::vector<std::uint32_t> queues;
  std::size_t all = 0;
  std::size_t size = 2048;
  for (const auto& name : names) {
    auto facts = facts_of(name);
    if (!facts)
      return tl::unexpected(facts.error());
    queues.push_back(facts->queues);
    all += facts->queues;
    if (facts->mtu > most_small)
      size = 4096;
  }
  auto entry = kernel_entry::open();
  if (!entry)
    return tl::unexpected(entry.error());
  std::unique_ptr<interfaces> out{new interfaces{std::move(*entry)}};
  // Each socket may have a full ring to receive into and another one being sent.
  auto memory = buffers::make(all * 2 * buffers::ring + packet_port::most_in_burst, size);
  if (!memory)
    return tl::unexpected(memory.error());
  out->buffers_ = std::move(*memory);
  for (std::size_t i = 0; i < names.size(); ++i)
    if (auto ok = out->add(names[i], queues[i], options); !ok)
      return tl::unexpected(ok.error());
  return out;
}

result<void> interfaces::attach() {
  for (auto& c : cards_)
    if (auto ok = c.program.attach(); !ok)
      return ok;
  return {};
}

result<void> interfaces::set_own(std::span<const ip_address> own) {
  for (auto& c : cards_)
    if (auto ok = c.program.set_own(own); !ok)
      return ok;
  return {};
}

std::vector<packet_port::port*> interfaces::ports() const {
  std::vector<packet_port::port*> out;
  for (const auto& s : sockets_)
    out.push_back(s.get());
  return out;
}

std::size_t interfaces::zero_copy_ports() const noexcept {
  return static_cast<std::size_t>(
    std::count_if(sockets_.begin(), sockets_.end(), [](const auto& s) { return s->zero_copy(); }));
}

} // namespace marchproxy::af_xdp
