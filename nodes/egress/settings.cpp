// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/settings.hpp"

namespace marchproxy::egress {

namespace {

void read_wish(program::environment& env, const char* name, wish& out) {
  std::string value = "auto";
  env.text(name, value);
  if (value == "true")
    out = wish::on;
  else if (value == "false")
    out = wish::off;
  else if (value != "auto")
    env.wrong(name, "must be true, false or auto");
}

} // namespace

result<settings> read_settings(const std::map<std::string, std::string>& variables,
                               bool for_probe) {
  program::environment env{variables};
  settings out;
  serving::read_node_settings(env, for_probe, out);
  env.port("LISTEN_PORT", out.listen_port);
  env.port("TRANSPARENT_PORT", out.transparent_port);
  std::string mode = "redirect";
  env.text("TRANSPARENT_MODE", mode);
  out.tproxy = mode == "tproxy";
  if (mode != "redirect" && mode != "tproxy")
    env.wrong("TRANSPARENT_MODE", "must be redirect or tproxy");
  if (out.transparent_port != 0 && out.transparent_port == out.listen_port)
    env.wrong("TRANSPARENT_PORT", "must differ from LISTEN_PORT");
  std::string ech = "deny";
  env.text("ECH", ech);
  out.outer_name_counts = ech == "outer";
  if (ech != "deny" && ech != "outer")
    env.wrong("ECH", "must be deny or outer");
  read_wish(env, "ENABLE_EBPF", out.ebpf);
  env.list("EBPF_INTERFACES", out.ebpf_interfaces);
  if (auto checked = env.check(); !checked)
    return tl::unexpected(checked.error());
  return out;
}

} // namespace marchproxy::egress
