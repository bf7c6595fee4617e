// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bpf/loader/descriptor.hpp"
#include "bpf/loader/installer.hpp"

#include <cstdint>
#include <map>

namespace marchproxy::tier_ebpf {

/// XDP programs of ours that a process before has left at interfaces of the calling thread's
/// network namespace. The kernel tells what a program is by its number only to CAP_SYS_ADMIN, so
/// who gives that up looks before.
class xdp_predecessors {
public:
  /// Finds none without CAP_SYS_ADMIN.
  [[nodiscard]] static xdp_predecessors find();

  /// A descriptor of the program with this id if it is one of ours; asks the kernel about one that
  /// was not there when it looked.
  [[nodiscard]] descriptor open(std::uint32_t program_id) const;

private:
  std::map<std::uint32_t, descriptor> known_; ///< held, so that their ids go to no other
};

/// Attaches by netlink. The kernel keeps such a program when the process dies; one of ours is
/// replaced in one step.
/// @errors unsupported when the driver has no native mode; conflict when a program that is not ours
/// is attached; unavailable with the kernel's reason
[[nodiscard]] result<void>
attach_xdp_program(int ifindex, xdp_mode mode, int program_fd, const xdp_predecessors& before);
/// Removes the program if it is still this one.
[[nodiscard]] result<void> detach_xdp_program(int ifindex, xdp_mode mode, int program_fd);
/// Removes programs of ours that a process before has left. Others' stay.
[[nodiscard]] result<void> remove_predecessors(int ifindex, const xdp_predecessors& before);

} // namespace marchproxy::tier_ebpf
