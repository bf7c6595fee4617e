// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/service_listeners.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace marchproxy::relay {

namespace {

std::optional<wire::host> single_host(const model::service_address& address) {
  if (const auto* prefix = std::get_if<ip_prefix>(&address)) {
    if (prefix->length == prefix->base.width())
      return wire::host{prefix->base};
    return std::nullopt;
  }
  const auto& name = std::get<model::dns_name>(address);
  return name.wildcard ? std::nullopt : wire::host::parse(name.name);
}

constexpr std::uint16_t dns_port = 53;

using targets = std::map<std::uint16_t, service_target>;

/// @param speaks  whether a service wants a listener of this kind at all
template <class Speaks>
targets wanted(const model::ruleset& rules,
               const std::vector<own_port>& taken,
               const std::string& kind,
               const problem_sink& problem,
               Speaks speaks) {
  targets out;
  for (const auto& s : rules.services) {
    if (!s.active || !s.listen_port || !speaks(s))
      continue;
    auto port = *s.listen_port;
    auto what = kind + " of service " + s.name + " on port " + std::to_string(port) + ": ";
    auto host = single_host(s.address);
    if (!host) {
      problem(what + "its address is not one address or name");
      continue;
    }
    auto own = std::find_if(taken.begin(), taken.end(),
                            [&](const own_port& each) { return each.number == port; });
    if (own != taken.end() || out.contains(port)) {
      problem(what + "the port is taken by "
              + (own != taken.end() ? std::string{own->of} : "another service"));
      continue;
    }
    auto to = s.ports.unrestricted() ? port : s.ports.ranges().front().first;
    out.emplace(port, service_target{s.id, {*host, to}, s.proxy_protocol});
  }
  return out;
}

bool speaks(model::protocol_set set, model::protocol which) {
  return set == model::any_protocol || model::has(set, which);
}

bool allows(const model::mapping& m) {
  return m.active && m.action != model::mapping_action::deny;
}

/// None when @p s is not one host, or does not speak UDP.
std::optional<service_target> as_udp_target(const model::service& s, const model::mapping& by) {
  auto host = single_host(s.address);
  if (!host || !speaks(s.protocols, model::protocol::udp))
    return std::nullopt;
  const auto& ports = by.ports.unrestricted() ? s.ports : by.ports;
  const auto port = ports.unrestricted() ? dns_port : ports.ranges().front().first;
  return service_target{s.id, {*host, port}};
}

} // namespace

targets wanted_listeners(const model::ruleset& rules,
                         const std::vector<own_port>& taken,
                         const problem_sink& problem) {
  return wanted(rules, taken, "listener", problem,
                [](const model::service& s) { return speaks(s.protocols, model::protocol::tcp); });
}

targets wanted_udp_listeners(const model::ruleset& rules,
                             const std::vector<own_port>& taken,
                             const problem_sink& problem) {
  const auto any =
    std::any_of(rules.mappings.begin(), rules.mappings.end(), [](const model::mapping& m) {
      return allows(m) && speaks(m.protocols, model::protocol::udp);
    });
  if (!any)
    return {};
  return wanted(rules, taken, "UDP listener", problem, [&](const model::service& s) {
    // Of one that has a TCP listener too, that one's problem says it all.
    return speaks(s.protocols, model::protocol::udp) && s.proxy_protocol == model::proxy_header::off
           && (!speaks(s.protocols, model::protocol::tcp) || single_host(s.address));
  });
}

std::optional<service_target> first_udp_destination(const model::ruleset& rules) {
  for (const auto& m : rules.mappings)
    if (allows(m) && model::has(m.protocols, model::protocol::udp))
      for (const auto& which : m.destinations)
        for (const auto* s : model::members(rules, which))
          if (auto out = as_udp_target(*s, m))
            return out;
  return std::nullopt;
}

std::map<std::uint16_t, service_target> ingress_listeners(const routing::route_table* routes) {
  std::map<std::uint16_t, service_target> out;
  if (routes != nullptr)
    for (const auto& port : routes->ports())
      out.emplace(port.number, service_target{{}, {{}, port.number}});
  return out;
}

void service_listeners::follow(const std::map<std::uint16_t, service_target>& wanted,
                               const problem_sink& problem) {
  std::erase_if(open_, [&](const auto& each) { return !wanted.contains(each.first); });
  for (const auto& [port, target] : wanted) {
    if (auto found = open_.find(port); found != open_.end()) {
      if (!found->second->target.same(target))
        found->second->target = target;
      continue;
    }
    auto fd = sockets_.listen({at_, port});
    if (!fd) {
      problem(to_string(fd.error()));
      continue;
    }
    auto opened = std::make_unique<entry>();
    opened->target = target;
    auto socket =
      net::listener::open(loop_, std::move(*fd), [this, e = opened.get()](net::accepted a) {
        take_(std::move(a), e->target);
      });
    if (!socket) {
      problem(to_string(socket.error()));
      continue;
    }
    opened->socket = std::move(*socket);
    open_.emplace(port, std::move(opened));
  }
}

} // namespace marchproxy::relay
