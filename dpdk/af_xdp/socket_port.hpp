// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "dpdk/af_xdp/buffers.hpp"
#include "dpdk/af_xdp/kernel_entry.hpp"
#include "dpdk/port/port.hpp"

#include <xdp/xsk.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace marchproxy::af_xdp {

struct socket_free {
  void operator()(xsk_socket* socket) const noexcept { xsk_socket__delete(socket); }
};

/// One queue of one interface by an AF_XDP socket with need-wakeup: a system call for a burst that
/// is sent, and one when the kernel asks for it.
class socket_port final : public packet_port::port {
public:
  struct place {
    std::string interface;
    std::uint32_t queue = 0;
    bool first = false;     ///< of the sockets that share @p from
    bool copy_only = false; ///< else zero-copy where the driver can
  };

  /// @param from, entry  outlive the port
  /// @errors unavailable, busy ones included
  [[nodiscard]] static result<std::unique_ptr<socket_port>>
  open(const place& at, buffers& from, const kernel_entry& entry);

  [[nodiscard]] std::size_t receive(std::span<packet_port::frame> into) noexcept override;
  [[nodiscard]] std::size_t send(std::span<const packet_port::frame> frames) noexcept override;
  [[nodiscard]] std::size_t deliver(std::span<const packet_port::frame> frames) noexcept override;
  void release(std::span<const packet_port::frame> frames) noexcept override;
  void turn() noexcept override;
  [[nodiscard]] int wait_descriptor() const noexcept override { return fd(); }
  [[nodiscard]] packet_port::port_counters counters() const noexcept override;

  [[nodiscard]] int fd() const noexcept { return xsk_socket__fd(socket_.get()); }
  [[nodiscard]] bool zero_copy() const noexcept { return zero_copy_; }

private:
  socket_port(buffers& from, const kernel_entry& entry) : buffers_(from), entry_(entry) {}
  void refill() noexcept;
  void reap() noexcept;
  void push_out() noexcept;

  buffers& buffers_;
  const kernel_entry& entry_;
  std::unique_ptr<xsk_socket, socket_free> socket_;
  xsk_ring_cons received_{};
  xsk_ring_prod to_send_{};
  xsk_ring_prod own_fill_{};
  xsk_ring_cons own_completion_{};
  xsk_ring_prod* fill_ = nullptr;
  xsk_ring_cons* completion_ = nullptr;
  std::uint32_t under_way_ = 0; ///< given to the kernel to send, and not back yet
  bool zero_copy_ = false;
  std::atomic<std::uint64_t> received_count_{0};
  std::atomic<std::uint64_t> sent_count_{0};
};

} // namespace marchproxy::af_xdp
