// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "dpdk/sriov/link_message.hpp"

#include <memory>
#include <span>

struct mnl_socket;

namespace marchproxy::sriov {

/// Carries rtnetlink requests.
class netlink_transport {
public:
  netlink_transport() = default;
  netlink_transport(const netlink_transport&) = delete;
  netlink_transport& operator=(const netlink_transport&) = delete;
  virtual ~netlink_transport() = default;

  /// Sends one request and waits for all of its answer, 10 seconds at most.
  /// @return the messages of the answer, one behind the other; empty for an acknowledgement
  /// @errors refused with the kernel's reason, unavailable, timeout
  [[nodiscard]] virtual result<message> ask(std::span<const std::byte> request) = 0;
};

/// The kernel of the calling thread's network namespace.
class kernel_netlink final : public netlink_transport {
public:
  /// @errors unavailable
  [[nodiscard]] static result<std::unique_ptr<kernel_netlink>> open();
  kernel_netlink(const kernel_netlink&) = delete;
  kernel_netlink& operator=(const kernel_netlink&) = delete;
  ~kernel_netlink() override;
  [[nodiscard]] result<message> ask(std::span<const std::byte> request) override;

private:
  explicit kernel_netlink(mnl_socket* socket) : socket_(socket) {}
  mnl_socket* socket_;
  unsigned sequence_ = 0;
};

} // namespace marchproxy::sriov
