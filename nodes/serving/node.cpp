// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/node.hpp"

#include "actors/base/version.hpp"
#include "actors/proxy/node.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/send.hpp>

#include <spdlog/spdlog.h>

#include <iostream>

namespace marchproxy::serving {

namespace {

constexpr auto drain_grace = std::chrono::seconds{2};

tl::unexpected<error> in(const char* part, const error& e) {
  return tl::unexpected(error{e.code, std::string{part} + ": " + e.message, e.fields});
}

/// The last good revision, so that traffic is judged before, and without, the bus (BUS-3).
void restore(proxy::revision_engine& engine, const std::string& cluster) {
  auto authority = proxy::read_authority(engine.file());
  if (!authority || authority->cluster != cluster)
    return;
  auto restored = engine.restore(*authority);
  if (!restored)
    spdlog::error("the stored revision is not usable: {}", to_string(restored.error()));
  else if (*restored)
    spdlog::info("revision {} is in force, from disk", restored->value);
}

proxy::counters_source sum_of(std::vector<proxy::tier*> tiers) {
  return {[tiers = std::move(tiers)] {
    std::map<std::string, std::uint64_t> all;
    for (const auto* one : tiers)
      all.merge(one->counters());
    return all;
  }};
}

/// Says that it is there, for people and for scripts that wait for it.
void announce(const blueprint& plan,
              const std::vector<std::string>& addresses,
              const net::endpoint& admin,
              const std::string& tier) {
  std::cout << "marchproxy-" << plan.component << " " << version() << " ";
  if (!addresses.empty())
    std::cout << "proxy " << addresses.front() << ", ";
  std::cout << "admin " << net::to_string(admin) << ", tier " << tier << std::endl;
}

} // namespace

result<void> run(const node_settings& options,
                 const blueprint& plan,
                 const std::function<void()>& wait_for_stop) {
  auto key = bus::parse_cluster_api_key(options.cluster_key);
  if (!key)
    return in("CLUSTER_API_KEY", key.error());
  auto file = proxy::revision_file::open(options.state_directory);
  if (!file)
    return in("state directory", file.error());
  auto records = record_sinks::open(options);
  if (!records)
    return in("DECISION_LOG", records.error());
  auto started = relay::relay_server::start(
    plan.relay, {[to = records->get()](const relay::decision_record& r) { to->take(r); },
                 [](const std::string& what) { spdlog::error("{}", what); }});
  if (!started)
    return in("relay", started.error());
  auto& relay = **started;
  relay_tier sockets{relay, plan.backends, plan.relay.acceptor};
  auto tiers = plan.faster_tiers;
  tiers.push_back(&sockets);
  auto engine = std::make_shared<proxy::revision_engine>(std::move(*file), tiers);
  (*records)->follow(engine);
  restore(*engine, key->cluster_name);
  auto choice = plan.attach();
  if (!choice)
    return tl::unexpected(choice.error());

  caf::actor_system_config config;
  // The actors have little to do here, and the default policy's workers look for work all the time.
  config.set("scheduler.policy", caf::atom("sharing"));
  caf::actor_system system{config};
  proxy::node_options node_options;
  node_options.bus_urls = options.nats_urls;
  node_options.cluster_key = *key;
  node_options.name = options.name;
  node_options.hostname = options.hostname;
  node_options.kind = plan.kind;
  node_options.addresses = plan.addresses(relay.proxy_port());
  node_options.tiers = *choice;
  node_options.verdicts = (*records)->verdicts();
  auto node = proxy::spawn_node(system, node_options, engine, sum_of(tiers));
  auto extras = plan.extras(sockets);
  auto view = std::make_unique<admin_view>(
    admin_view{plan.component, system, node, engine, relay, **records, *choice, extras});
  auto admin =
    http::server::start({.listen = {*parse_ip(options.admin_address), options.admin_port}},
                        [&](const http::request& request) { return answer_admin(*view, request); });
  if (!admin) {
    caf::anon_send_exit(node, caf::exit_reason::user_shutdown);
    view.reset();
    return in("admin port", admin.error());
  }
  announce(plan, node_options.addresses, (*admin)->local(), choice->chosen);
  wait_for_stop();
  spdlog::info("stopping");
  relay.stop(drain_grace);
  admin->reset();
  view.reset();
  caf::anon_send_exit(node, caf::exit_reason::user_shutdown);
  node = proxy::node_actor{};
  system.await_all_actors_done();
  return {};
}

} // namespace marchproxy::serving
