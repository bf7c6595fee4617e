// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <linux/capability.h>

#include <cstdint>
#include <string>

namespace marchproxy::privileges {

/// Bit n: capability n of <linux/capability.h>.
using capability_set = std::uint64_t;

/// Of some CAP_ constants.
template <class... Number>
[[nodiscard]] constexpr capability_set of(Number... numbers) noexcept {
  return (capability_set{0} | ... | (capability_set{1} << numbers));
}

/// What the calling thread may use.
[[nodiscard]] capability_set held() noexcept;

/// `CAP_BPF CAP_NET_ADMIN`; those that this version has no name for by their number.
[[nodiscard]] std::string names(capability_set set);

/// From now on the calling thread, threads that it starts and programs that it executes have no
/// other capabilities than these, and of these none that was not held; nor can a program get any by
/// its file or its user (no_new_privs). The permitted and the effective set are @p keep, the
/// inheritable and ambient ones are empty, and so is what is not in @p keep of the bounding set,
/// where the thread may change that (CAP_SETPCAP; without it no_new_privs has the same effect).
/// To be called before other threads start: they would keep theirs.
/// @errors unavailable with the kernel's reason
[[nodiscard]] result<void> keep_only(capability_set keep);

/// Makes @p pass what the next execve() has, and no more, whoever the user is. For a child between
/// fork and execve; safe there.
/// @return whether the kernel agreed
[[nodiscard]] bool pass_on(capability_set pass) noexcept;

/// What the kernel says of the process's first thread in /proc/self/status.
struct restrictions {
  capability_set effective = 0;
  bool no_new_privileges = false;
  bool filtered = false; ///< system calls, by a filter

  bool operator==(const restrictions&) const = default;
};
/// @errors unavailable
[[nodiscard]] result<restrictions> of_process();

} // namespace marchproxy::privileges
