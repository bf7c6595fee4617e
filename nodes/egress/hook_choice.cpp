// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/hook_choice.hpp"

namespace marchproxy::egress {

using tier_ebpf::xdp_mode;

hook_plan plan_hook(const tier_ebpf::interface& at, const settings& options) {
  if (options.xdp == wish::off)
    return {{}, "ENABLE_XDP is false"};
  if (options.xdp == wish::on) {
    switch (options.xdp_by) {
    case xdp_choice::native:
      return {{xdp_mode::native}, {}};
    case xdp_choice::generic:
      return {{xdp_mode::generic}, "XDP_MODE is generic"};
    case xdp_choice::automatic:
      break;
    }
    return {{xdp_mode::native, xdp_mode::generic}, {}};
  }
  // Without hardware below, packets come with offloads that XDP has to undo.
  if (!at.kind.empty())
    return {{},
            "it is virtual (" + at.kind
              + "): TCP would lose its offloads under XDP; ENABLE_XDP=true takes it all the same"};
  if (at.xdp && (*at.xdp & tier_ebpf::xdp_basic) == 0)
    return {{}, "its driver has no native XDP; ENABLE_XDP=true takes the generic one"};
  return {{xdp_mode::native}, {}};
}

} // namespace marchproxy::egress
