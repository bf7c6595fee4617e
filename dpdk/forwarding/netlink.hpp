// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bpf/loader/descriptor.hpp"
#include "dpdk/forwarding/kernel_view.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace marchproxy::forwarding {

/// Adds what one rtnetlink message of a dump says to @p into. What it does not know, or what is cut
/// short, it leaves out. @param message  header included
void add_message(kernel_view& into, std::span<const std::byte> message);

/// Asks the kernel of the calling thread's network namespace for everything. Blocks until it has
/// answered: milliseconds, a second with a million routes.
/// @errors unavailable, with what was asked for
[[nodiscard]] result<kernel_view> read_kernel();

/// Hears of changes to what read_kernel() reads.
class change_watch {
public:
  /// In the calling thread's network namespace. @errors unavailable
  [[nodiscard]] static result<change_watch> open();

  /// Readable when something may have changed.
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  /// Takes what waits. @return true when the kernel has to be read anew; so it is when messages
  /// were lost
  [[nodiscard]] bool drain() noexcept;

private:
  explicit change_watch(tier_ebpf::descriptor socket) : socket_(std::move(socket)) {}
  tier_ebpf::descriptor socket_;
};

/// Has the kernel confirm the stale neighbours of @p view on the interfaces @p of. What the worker
/// sends, the kernel does not see: by itself it would forget neighbours in use.
/// @errors unavailable
[[nodiscard]] result<void> confirm_stale(const kernel_view& view, std::span<const int> of);

} // namespace marchproxy::forwarding
