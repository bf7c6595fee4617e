// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/ethdev/device.hpp"

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <cstring>
#include <utility>

namespace marchproxy::ethdev {

namespace {

constexpr std::uint16_t wanted_descriptors = 1024;
constexpr std::uint16_t no_port = RTE_MAX_ETHPORTS;

tl::unexpected<error> failed(const device::source& what, const char* doing, int negative_errno) {
  return fail(errc::unavailable,
              "DPDK device " + what.name + ": " + doing + ": " + ::rte_strerror(-negative_errno));
}

} // namespace

result<device> device::open(const environment& from, const source& what) {
  if (what.is_virtual)
    if (auto rc = ::rte_eal_hotplug_add("vdev", what.name.c_str(), what.arguments.c_str()); rc < 0)
      return failed(what, what.arguments.c_str(), rc);
  std::uint16_t port = no_port;
  if (::rte_eth_dev_get_port_by_name(what.name.c_str(), &port) != 0)
    return fail(errc::not_found, "DPDK device " + what.name + ": no driver has taken it");
  device out{port, what};
  if (auto ok = out.start(from); !ok)
    return tl::unexpected(ok.error());
  return out;
}

result<void> device::start(const environment& from) {
  rte_eth_conf config{};
  if (auto rc = ::rte_eth_dev_configure(port_, 1, 1, &config); rc != 0)
    return failed(what_, "configuring", rc);
  auto receive = wanted_descriptors;
  auto send = wanted_descriptors;
  if (auto rc = ::rte_eth_dev_adjust_nb_rx_tx_desc(port_, &receive, &send); rc != 0)
    return failed(what_, "queue sizes", rc);
  auto socket = static_cast<unsigned>(::rte_eth_dev_socket_id(port_));
  if (auto rc = ::rte_eth_rx_queue_setup(port_, 0, receive, socket, nullptr, from.buffers());
      rc != 0)
    return failed(what_, "receive queue", rc);
  if (auto rc = ::rte_eth_tx_queue_setup(port_, 0, send, socket, nullptr); rc != 0)
    return failed(what_, "send queue", rc);
  if (auto rc = ::rte_eth_dev_start(port_); rc != 0)
    return failed(what_, "starting", rc);
  // Neighbour discovery and routing protocols are multicast. Devices that take everything anyway
  // say they cannot.
  ::rte_eth_allmulticast_enable(port_);
  return {};
}

device::device(device&& other) noexcept
  : port_(std::exchange(other.port_, no_port)), what_(std::move(other.what_)) {}

device::~device() {
  if (port_ == no_port)
    return;
  ::rte_eth_dev_stop(port_);
  if (what_.is_virtual)
    ::rte_eal_hotplug_remove("vdev", what_.name.c_str());
  else
    ::rte_eth_dev_close(port_);
}

result<forwarding::mac_address> device::address() const {
  rte_ether_addr raw{};
  if (auto rc = ::rte_eth_macaddr_get(port_, &raw); rc != 0)
    return failed(what_, "its address", rc);
  forwarding::mac_address out{};
  std::memcpy(out.data(), &raw, out.size());
  return out;
}

} // namespace marchproxy::ethdev
