// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <xdp/xsk.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace marchproxy::af_xdp {

/// Memory that the kernel and the ports of one worker share (a UMEM), and which of its buffers are
/// free. For one thread.
class buffers {
public:
  static constexpr std::uint32_t ring = 2048; ///< places of each ring of each socket

  /// @param count  buffers
  /// @param size   bytes of each, 2048 or 4096; the kernel keeps 256 for itself
  /// @errors unavailable (RLIMIT_MEMLOCK, CAP_IPC_LOCK)
  [[nodiscard]] static result<std::unique_ptr<buffers>> make(std::size_t count, std::size_t size);
  buffers(const buffers&) = delete;
  buffers& operator=(const buffers&) = delete;
  ~buffers();

  [[nodiscard]] std::byte* at(std::uint64_t address) const noexcept { return area_ + address; }
  [[nodiscard]] std::uint64_t address_of(const std::byte* data) const noexcept {
    return static_cast<std::uint64_t>(data - area_);
  }
  /// The buffer that an address lies in.
  [[nodiscard]] std::uint64_t start_of(std::uint64_t address) const noexcept {
    return address & ~static_cast<std::uint64_t>(size_ - 1);
  }
  void give(std::uint64_t start) noexcept { free_.push_back(start); }
  [[nodiscard]] std::uint64_t take() noexcept {
    auto out = free_.back();
    free_.pop_back();
    return out;
  }
  [[nodiscard]] std::size_t free() const noexcept { return free_.size(); }

  [[nodiscard]] xsk_umem* umem() const noexcept { return umem_; }
  /// The rings that came with the UMEM: for the first socket. Others make their own.
  xsk_ring_prod first_fill{};
  xsk_ring_cons first_completion{};

private:
  buffers() = default;

  std::byte* area_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t size_ = 0;
  xsk_umem* umem_ = nullptr;
  std::vector<std::uint64_t> free_; ///< starts; never grows beyond its first capacity
};

} // namespace marchproxy::af_xdp
