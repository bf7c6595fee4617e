// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/limited_metrics.hpp"

namespace marchproxy::egress {

void add_limited(const std::string& prefix,
                 const std::vector<tier_ebpf::limited_count>& counts,
                 serving::metric_list& out) {
  for (const auto& one : counts) {
    const std::string of = one.of_service ? "service" : "mapping";
    const auto id = std::to_string(one.id);
    for (std::size_t kind = 0; kind < one.refused.size(); ++kind)
      if (one.refused[kind] > 0)
        out.counter(
          (prefix + "_limited_total").c_str(), "Packets that limits stopped.", one.refused[kind],
          {{"of", of},
           {"id", id},
           {"limit", std::string{tier_ebpf::to_string(static_cast<mp_limit_kind>(kind))}}});
    if (one.crowded > 0)
      out.counter((prefix + "_limit_crowded_total").c_str(),
                  "Packets whose source shared a limit with others, for want of a place.",
                  one.crowded, {{"of", of}, {"id", id}});
  }
}

} // namespace marchproxy::egress
