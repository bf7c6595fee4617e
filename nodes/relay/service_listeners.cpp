// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/service_listeners.hpp"

#include <optional>

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

} // namespace

std::map<std::uint16_t, service_target> wanted_listeners(const model::ruleset& rules,
                                                         std::uint16_t proxy_port,
                                                         const problem_sink& problem) {
  std::map<std::uint16_t, service_target> out;
  for (const auto& s : rules.services) {
    if (!s.active || !s.listen_port)
      continue;
    auto port = *s.listen_port;
    auto what = "listener of service " + s.name + " on port " + std::to_string(port) + ": ";
    auto host = single_host(s.address);
    if (!host) {
      problem(what + "its address is not one address or name");
      continue;
    }
    if (port == proxy_port || out.contains(port)) {
      problem(what + "the port is taken by "
              + (port == proxy_port ? "the proxy" : "another service"));
      continue;
    }
    auto to = s.ports.unrestricted() ? port : s.ports.ranges().front().first;
    out.emplace(port, service_target{s.id, {*host, to}, s.proxy_protocol});
  }
  return out;
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
    auto socket = listener::open(loop_, std::move(*fd), [this, e = opened.get()](net::accepted a) {
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
