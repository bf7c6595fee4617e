// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <cstdint>

namespace marchproxy::tier_ebpf {

/// The tc filter on one interface of the calling thread's network namespace: clsact ingress,
/// priority 1, handle 0x4d50.
///
/// The kernel keeps the filter and its program when the process dies, so that traffic stays judged
/// by the last revision. attach() finds such a filter and replaces it in one step: no packet passes
/// unjudged.

/// @errors unsupported for anything but Ethernet; conflict when the place is taken by a filter that
/// is not ours;
///         unavailable with the kernel's reason
[[nodiscard]] result<void> attach_filter(int ifindex, int program_fd);

/// Removes the filter if it still runs @p program_id. The clsact qdisc stays: others may have
/// filters there.
[[nodiscard]] result<void> detach_filter(int ifindex, std::uint32_t program_id);

/// The id of the program that our filter runs on the interface; 0 when there is none.
[[nodiscard]] result<std::uint32_t> attached_program(int ifindex);

} // namespace marchproxy::tier_ebpf
