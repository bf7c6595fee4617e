// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/ingress/settings.hpp"

namespace marchproxy::ingress {

result<settings> read_settings(const std::map<std::string, std::string>& variables,
                               bool for_probe) {
  program::environment env{variables};
  settings out;
  serving::read_node_settings(env, for_probe, out);
  if (auto checked = env.check(); !checked)
    return tl::unexpected(checked.error());
  return out;
}

} // namespace marchproxy::ingress
