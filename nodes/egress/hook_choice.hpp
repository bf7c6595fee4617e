// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/loader/interfaces.hpp"
#include "bpf/loader/xdp_hook.hpp"
#include "nodes/egress/settings.hpp"

#include <string>
#include <vector>

namespace marchproxy::egress {

/// By which XDP modes an interface is to be tried, in order; why by none or not by the first.
struct hook_plan {
  std::vector<tier_ebpf::xdp_mode> tries;
  std::string why_not; ///< one sentence; empty: XDP in the driver is tried
};

/// What is best for an interface (ACC-1), by what it is and what was asked for.
[[nodiscard]] hook_plan plan_hook(const tier_ebpf::interface& at, const settings& options);

/// The earliest program that judges what arrives at an interface.
struct interface_hook {
  std::string name;
  std::string kind;    ///< as tier_ebpf::interface
  std::string hook;    ///< `xdp`, `tc`
  std::string mode;    ///< of xdp: `native`, `generic`
  std::string why_not; ///< XDP in the driver; empty: it is
};

} // namespace marchproxy::egress
