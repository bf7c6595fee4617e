// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/settings.hpp"

#include "nodes/egress/packet_settings.hpp"
#include "nodes/wire/host.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace marchproxy::egress {

namespace {

constexpr std::uint32_t most_connections = 16'777'216;

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

/// As environment::number, but 0 is none.
void read_count(program::environment& env,
                const char* name,
                std::uint32_t& out,
                std::uint32_t most) {
  env.number<std::uint32_t>(name, out, most);
  if (out == 0)
    env.wrong(name, "must be 1 to " + std::to_string(most));
}

void read_packets(program::environment& env, settings& out) {
  read_wish(env, "ENABLE_EBPF", out.ebpf);
  env.list("EBPF_INTERFACES", out.ebpf_interfaces);
  read_count(env, "EBPF_CONNECTIONS", out.connections, most_connections);
  read_count(env, "EBPF_CONNECTIONS_PER_SOURCE", out.connections_of_source, most_connections);
  std::string forwarding = "kernel";
  env.text("EBPF_FORWARDING", forwarding);
  out.forwards = forwarding == "direct";
  if (forwarding != "kernel" && forwarding != "direct")
    env.wrong("EBPF_FORWARDING", "must be kernel or direct");
  read_wish(env, "ENABLE_XDP", out.xdp);
  if (out.xdp == wish::on && out.ebpf == wish::off)
    env.wrong("ENABLE_XDP", "needs the tc program behind it: ENABLE_EBPF must not be false");
  std::string mode = "auto";
  env.text("XDP_MODE", mode);
  if (mode == "native")
    out.xdp_by = xdp_choice::native;
  else if (mode == "generic")
    out.xdp_by = xdp_choice::generic;
  else if (mode != "auto")
    env.wrong("XDP_MODE", "must be auto, native or generic");
}

void read_udp(program::environment& env, settings& out) {
  constexpr unsigned distance = 1000; // of the earlier proxies' UDP port from LISTEN_PORT
  const auto port = out.listen_port == 0 ? 0U : out.listen_port + distance;
  out.udp_port = port > 65535 ? std::uint16_t{0} : static_cast<std::uint16_t>(port);
  env.port("UDP_PORT", out.udp_port);
  read_count(env, "UDP_IDLE_SECONDS", out.udp_idle_seconds, 86'400);
  read_count(env, "UDP_MAX_SESSIONS", out.udp_max_sessions, 1'000'000);
  read_count(env, "UDP_MAX_SESSIONS_PER_SOURCE", out.udp_max_sessions_per_source, 1'000'000);
  std::string offload = "auto";
  env.text("UDP_OFFLOAD", offload);
  out.udp_offload = offload == "auto";
  if (offload != "auto" && offload != "off")
    env.wrong("UDP_OFFLOAD", "must be auto or off");
}

void read_resolver(program::environment& env, settings& out) {
  env.port("DNS_LISTEN_PORT", out.dns_listen_port);
  if (out.dns_listen_port != 0)
    for (auto taken : {out.listen_port, out.transparent_port, out.udp_port})
      if (taken == out.dns_listen_port)
        env.wrong("DNS_LISTEN_PORT", "must differ from LISTEN_PORT, TRANSPARENT_PORT and UDP_PORT");
  std::string ech = "deny";
  env.text("ECH", ech);
  if (ech == "outer")
    out.ech = relay::ech_policy::outer;
  else if (ech == "strip")
    out.ech = relay::ech_policy::strip;
  else if (ech != "deny")
    env.wrong("ECH", "must be deny, outer or strip");
  if (out.ech == relay::ech_policy::strip && out.dns_listen_port == 0)
    env.wrong("ECH", "strip takes DNS_LISTEN_PORT, where clients ask for names");
}

/// A client's list of proxies: `PROXY host:port; SOCKS5 host:port; DIRECT`.
void read_pac_proxies(program::environment& env, std::string& out) {
  env.text("PAC_PROXY", out);
  for (auto rest = std::string_view{out}; !rest.empty();) {
    auto end = rest.find(';');
    auto one = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    one.remove_prefix(std::min(one.find_first_not_of(' '), one.size()));
    one.remove_suffix(one.size() - std::min(one.find_last_not_of(' ') + 1, one.size()));
    if (one == "DIRECT")
      continue;
    auto space = one.find(' ');
    constexpr std::array<std::string_view, 6> kinds = {"PROXY", "HTTP",   "HTTPS",
                                                       "SOCKS", "SOCKS4", "SOCKS5"};
    auto known = std::find(kinds.begin(), kinds.end(), one.substr(0, space)) != kinds.end();
    auto at = known && space != std::string_view::npos
                ? wire::parse_host_port(one.substr(space + 1))
                : std::nullopt;
    if (!at || at->port == 0)
      return env.wrong("PAC_PROXY", "'" + std::string{one}
                                      + "' is neither DIRECT nor a kind with host:port, such as "
                                        "PROXY proxy.example.org:8080");
  }
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
  read_udp(env, out);
  read_resolver(env, out);
  env.port("PAC_PORT", out.pac_port);
  if (out.pac_port != 0
      && (out.pac_port == out.listen_port || out.pac_port == out.transparent_port
          || out.pac_port == out.dns_listen_port))
    env.wrong("PAC_PORT", "must differ from LISTEN_PORT, TRANSPARENT_PORT and DNS_LISTEN_PORT");
  read_pac_proxies(env, out.pac_proxies);
  read_packets(env, out);
  read_packet_settings(env, out);
  if (auto checked = env.check(); !checked)
    return tl::unexpected(checked.error());
  return out;
}

} // namespace marchproxy::egress
