// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/port/tun_device.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace marchproxy::packet_port {

namespace {

using tier_ebpf::descriptor;

tl::unexpected<error> failed(const std::string& name, const char* what) {
  return fail(errc::unavailable, "interface " + name + ": " + what + ": " + std::strerror(errno));
}

ifreq request_for(const std::string& name) {
  ifreq out{};
  std::strncpy(&out.ifr_name[0], name.c_str(), IFNAMSIZ - 1);
  return out;
}

descriptor any_socket() {
  return descriptor{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
}

} // namespace

result<tun_device> tun_device::open(kind what, const std::string& name) {
  descriptor device{::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)};
  if (!device)
    return failed(name, "/dev/net/tun");
  auto request = request_for(name);
  request.ifr_flags = static_cast<short>((what == kind::packets ? IFF_TUN : IFF_TAP) | IFF_NO_PI);
  if (::ioctl(device.get(), TUNSETIFF, &request) != 0)
    return failed(name, "TUN device");
  std::string given = &request.ifr_name[0];
  request = request_for(given);
  request.ifr_flags = IFF_UP;
  if (auto socket = any_socket(); !socket || ::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0)
    return failed(given, "bringing it up");
  return tun_device{std::move(device), std::move(given)};
}

result<void> tun_device::set_address(const std::array<std::uint8_t, 6>& address) {
  auto request = request_for(name_);
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::copy(address.begin(), address.end(), &request.ifr_hwaddr.sa_data[0]);
  if (auto socket = any_socket(); !socket || ::ioctl(socket.get(), SIOCSIFHWADDR, &request) != 0)
    return failed(name_, "hardware address");
  return {};
}

bool tun_device::put(std::span<const std::byte> bytes) const noexcept {
  return ::write(device_.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

std::size_t tun_device::take(std::span<std::byte> into) const noexcept {
  auto got = ::read(device_.get(), into.data(), into.size());
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

} // namespace marchproxy::packet_port
