// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "dpdk/af_xdp/buffers.hpp"
#include "dpdk/af_xdp/kernel_entry.hpp"
#include "dpdk/af_xdp/redirect.hpp"
#include "dpdk/af_xdp/socket_port.hpp"
#include "dpdk/port/port.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace marchproxy::af_xdp {

struct interface_options {
  bool copy_only = false; ///< do not ask for zero-copy
};

/// Interfaces whose routed packets go to one worker: a socket for each receive queue, one memory
/// for all of them. Made, attached and destroyed in one network namespace, the calling thread's.
class interfaces {
public:
  /// Nothing arrives before attach().
  /// @errors not_found, unsupported (MTU above 3,500, more than 64 queues), unavailable
  [[nodiscard]] static result<std::unique_ptr<interfaces>>
  open(std::span<const std::string> names, const interface_options& options = {});

  /// From now on what the interfaces receive and the node would route goes to the ports. To be
  /// called when the worker has its policy and turns. @errors conflict, unavailable
  [[nodiscard]] result<void> attach();
  /// Exactly these addresses are the node's own: the kernel keeps what is for them.
  /// @errors unavailable
  [[nodiscard]] result<void> set_own(std::span<const ip_address> own);

  /// The ports, and by the same index their interfaces. They live as long as this object.
  [[nodiscard]] std::vector<packet_port::port*> ports() const;
  [[nodiscard]] const std::vector<int>& indices() const noexcept { return indices_; }
  [[nodiscard]] std::size_t zero_copy_ports() const noexcept;
  [[nodiscard]] const std::string& entry_name() const noexcept { return entry_.name(); }

private:
  struct card {
    redirect program;
  };
  explicit interfaces(kernel_entry entry) : entry_(std::move(entry)) {}
  [[nodiscard]] result<void>
  add(const std::string& name, std::uint32_t queues, const interface_options& options);

  kernel_entry entry_;
  std::unique_ptr<buffers> buffers_;
  std::vector<std::unique_ptr<socket_port>> sockets_;
  std::vector<int> indices_;
  std::vector<card> cards_; ///< last: their programs go before the sockets do
};

} // namespace marchproxy::af_xdp
