// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/node.hpp"

#include "nodes/egress/kernel_view.hpp"
#include "nodes/egress/packet_tier.hpp"
#include "nodes/egress/resolver_port.hpp"
#include "nodes/egress/tiers.hpp"
#include "nodes/egress/virtual_functions.hpp"
#include "nodes/http/server.hpp"
#include "nodes/netd/remote_installer.hpp"
#include "nodes/pac/files.hpp"
#include "nodes/serving/node.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace marchproxy::egress {

namespace {

tl::unexpected<error> in(const char* part, const error& e) {
  return tl::unexpected(error{e.code, std::string{part} + ": " + e.message, e.fields});
}

/// The fast path, or why there is none.
struct fast_path {
  std::unique_ptr<ebpf_tier> tier;
  proxy::tier_choice choice;
  bool attached = false;
};

constexpr const char* needs_tc = "it needs the tc program behind it";

result<fast_path> choose_tiers(const settings& options, const serving::rights& may) {
  fast_path out;
  out.choice.chosen = std::string{relay::tier_name};
  if (options.ebpf == wish::off) {
    out.choice.not_chosen = {{"xdp", needs_tc}, {"ebpf", "ENABLE_EBPF is false"}};
    return out;
  }
  auto by = may.packets();
  auto loaded = by ? ebpf_tier::load(options, netd::remote_installer(std::move(by)))
                   : fail(errc::unsupported, may.why_no_packets());
  if (!loaded) {
    if (options.ebpf == wish::on)
      return in("ENABLE_EBPF is true, but the tier cannot be used", loaded.error());
    out.choice.not_chosen = {{"xdp", needs_tc}, {"ebpf", loaded.error().message.substr(0, 500)}};
    spdlog::warn("on sockets alone: {}", loaded.error().message);
    return out;
  }
  out.tier = std::move(*loaded);
  out.choice.chosen = std::string{out.tier->name()};
  return out;
}

std::string why_not_xdp(const ebpf_tier& tier) {
  std::string out;
  for (const auto& h : tier.hooks())
    out += (out.empty() ? "" : "; ") + h.name + ": " + h.why_not;
  return out.empty() ? "no interface is judged" : out.substr(0, 500);
}

result<void> attach(fast_path& fast, const settings& options) {
  if (!fast.tier)
    return {};
  auto done = fast.tier->attach(options);
  if (done) {
    fast.attached = true;
    if (fast.tier->at_driver())
      fast.choice.chosen = "xdp";
    else
      fast.choice.not_chosen.push_back({"xdp", why_not_xdp(*fast.tier)});
    return {};
  }
  if (options.ebpf == wish::on || options.xdp == wish::on)
    return in("ebpf", done.error());
  // Half-attached would be neither: without all interfaces the tier's counters and claims would
  // not hold.
  fast.choice = {std::string{relay::tier_name},
                 {{"xdp", needs_tc}, {"ebpf", done.error().message.substr(0, 500)}}};
  spdlog::warn("on sockets alone: {}", done.error().message);
  return {};
}

/// The packet worker, when it is asked for: then the node does not start without it.
result<std::unique_ptr<packet_tier>> open_packet_tier(const settings& options) {
  if (options.packets.af_xdp.empty() && options.packets.dpdk.empty())
    return std::unique_ptr<packet_tier>{};
  auto out = packet_tier::open(options.packets);
  if (!out)
    return in(options.packets.dpdk.empty() ? "ENABLE_AF_XDP" : "ENABLE_DPDK", out.error());
  return out;
}

/// Adds the packet worker's interfaces and metrics to what there is.
void add_packet_view(serving::admin_extras& to, const packet_tier* worker) {
  if (worker == nullptr)
    return;
  to.interfaces = [before = to.interfaces, worker] {
    auto out = before ? before() : std::vector<std::string>{};
    for (auto& name : worker->interfaces())
      if (std::find(out.begin(), out.end(), name) == out.end())
        out.push_back(std::move(name));
    return out;
  };
  to.metrics = [before = to.metrics, worker](serving::metric_list& out) {
    before(out);
    worker->add_metrics(out);
  };
}

/// The unspecified address stands for both families, as far as the machine has them.
std::vector<net::endpoint> endpoints_at(const settings& options, std::uint16_t port) {
  if (port == 0)
    return {};
  auto address = *parse_ip(options.listen_address);
  std::vector<net::endpoint> out{{address, port}};
  auto other = ip_address::v6({});
  if (address == ip_address::v4(0) && net::listen_tcp({other, 0}))
    out.push_back({other, port});
  return out;
}

relay::relay_settings relay_of(const settings& options) {
  auto out = serving::relay_settings_of(options);
  out.proxy_listen = {*parse_ip(options.listen_address), options.listen_port};
  out.transparent_listen = endpoints_at(options, options.transparent_port);
  out.tproxy = options.tproxy;
  out.udp_port = options.udp_port;
  out.udp_idle_timeout = std::chrono::seconds{options.udp_idle_seconds};
  out.max_udp_sessions = options.udp_max_sessions;
  out.max_udp_sessions_of_source = options.udp_max_sessions_per_source;
  out.udp_offload = options.udp_offload;
  out.ech = options.ech;
  out.dns_port = options.dns_listen_port;
  return out;
}

/// Who asks for its PAC file, and the thread that answers.
struct pac_port {
  pac_port(const settings& options, const proxy::revision_engine& engine)
    : files({options.pac_proxies, options.listen_port}, [&engine] { return engine.current(); }) {}
  pac::files files;
  std::unique_ptr<http::server> server;
};

result<std::shared_ptr<void>> serve_pac(const settings& options,
                                        const proxy::revision_engine& engine) {
  if (options.pac_port == 0)
    return std::shared_ptr<void>{};
  auto out = std::make_shared<pac_port>(options, engine);
  auto started = http::server::start(
    {.listen = {*parse_ip(options.listen_address), options.pac_port}},
    [&to = out->files](const http::request& asked) { return to.answer(asked); });
  if (!started)
    return in("PAC_PORT", started.error());
  out->server = std::move(*started);
  return std::shared_ptr<void>{out};
}

result<std::shared_ptr<void>> serve_beside(const settings& options,
                                           const resolver_port& resolver,
                                           const proxy::revision_engine& engine) {
  auto pac = serve_pac(options, engine);
  if (!pac)
    return pac;
  auto names = resolver.serve(endpoints_at(options, options.dns_listen_port), engine);
  if (!names)
    return in("DNS_LISTEN_PORT", names.error());
  return std::shared_ptr<void>{
    std::make_shared<std::pair<std::shared_ptr<void>, std::shared_ptr<void>>>(std::move(*pac),
                                                                              std::move(*names))};
}

netd::tasks tasks_of(const settings& options) {
  return {.packets = options.ebpf != wish::off,
          .low_ports = true,
          .transparent = options.tproxy && options.transparent_port != 0};
}

/// All but what the packet worker's drivers take from then on.
result<void> give_up(const settings& options, serving::rights& may) {
  privileges::syscall_filter filter;
  filter.io_uring = options.io != relay::io_choice::epoll;
  filter.bpf_by_descriptor = true;
  // What drivers of network cards call nobody here has seen.
  filter.what_is_unknown = !options.packets.dpdk.empty();
  privileges::capability_set keep = 0;
  if (!options.packets.af_xdp.empty())
    keep = privileges::of(CAP_NET_ADMIN); // its programs are attached later, and detached
  if (!options.packets.dpdk.empty())
    keep = ~privileges::capability_set{0};
  return may.give_up(keep, filter);
}

} // namespace

result<void> run(const settings& options, const std::function<void()>& wait_for_stop) {
  auto may = serving::rights::with_netd(tasks_of(options));
  auto packets = open_packet_tier(options);
  if (!packets)
    return tl::unexpected(packets.error());
  if (auto given_up = give_up(options, may); !given_up)
    return in("privileges", given_up.error());
  auto fast = choose_tiers(options, may);
  if (!fast)
    return tl::unexpected(fast.error());
  serving::blueprint plan;
  plan.component = "egress";
  plan.may = &may;
  plan.relay = relay_of(options);
  const resolver_port resolver{options};
  plan.relay.told = resolver.told();
  if (fast->tier)
    plan.faster_tiers.push_back(fast->tier.get());
  if (*packets)
    plan.faster_tiers.push_back(packets->get());
  plan.attach = [&]() -> result<proxy::tier_choice> {
    if (auto done = attach(*fast, options); !done)
      return tl::unexpected(done.error());
    auto choice = fast->choice;
    if (*packets) {
      if (auto done = (*packets)->attach(); !done)
        return in("packet worker", done.error());
      choice.chosen = std::string{(*packets)->name()};
    }
    return choice;
  };
  plan.addresses = [&](std::uint16_t port) {
    auto at = net::to_string({*parse_ip(options.listen_address), port});
    return std::vector<std::string>{"http://" + at, "socks5://" + at};
  };
  plan.extras = [&](const serving::relay_tier&) {
    auto out = kernel_view(fast->attached ? fast->tier.get() : nullptr);
    out.metrics = [&resolver, kernel = std::move(out.metrics)](serving::metric_list& metrics) {
      kernel(metrics);
      resolver.add_metrics(metrics);
    };
    add_packet_view(out, packets->get());
    add_sriov_view(out, options.packets.dpdk);
    return out;
  };
  plan.beside = [&](const proxy::revision_engine& engine) {
    return serve_beside(options, resolver, engine);
  };
  return serving::run(options, plan, wait_for_stop);
}

} // namespace marchproxy::egress
