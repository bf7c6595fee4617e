// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/node.hpp"

#include "actors/base/version.hpp"
#include "actors/proxy/node.hpp"
#include "nodes/egress/admin.hpp"
#include "nodes/egress/decision_log.hpp"
#include "nodes/egress/tiers.hpp"
#include "nodes/egress/verdict.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/send.hpp>

#include <spdlog/spdlog.h>

#include <atomic>
#include <iostream>
#include <optional>

namespace marchproxy::egress {

namespace {

constexpr auto drain_grace = std::chrono::seconds{2};

tl::unexpected<error> in(const char* part, const error& e) {
  return tl::unexpected(error{e.code, std::string{part} + ": " + e.message, e.fields});
}

void log_decision(const relay::decision_record& r) {
  spdlog::debug("flow {} {} {} {} mapping {} revision {} {}", relay::request_text(r.request),
                to_string(r.via), net::to_string(r.source), r.asked, r.mapping.value,
                r.revision.value, to_string(r.why));
}

/// The fast path, or why there is none.
struct fast_path {
  std::unique_ptr<ebpf_tier> tier;
  proxy::tier_choice choice;
};

result<fast_path> choose_tiers(const settings& options) {
  fast_path out;
  out.choice.chosen = std::string{relay::tier_name};
  if (options.ebpf == wish::off) {
    out.choice.not_chosen.push_back({"ebpf", "ENABLE_EBPF is false"});
    return out;
  }
  auto loaded = ebpf_tier::load();
  if (!loaded) {
    if (options.ebpf == wish::on)
      return in("ENABLE_EBPF is true, but the tier cannot be used", loaded.error());
    out.choice.not_chosen.push_back({"ebpf", loaded.error().message.substr(0, 500)});
    spdlog::warn("on sockets alone: {}", loaded.error().message);
    return out;
  }
  out.tier = std::move(*loaded);
  out.choice.chosen = std::string{out.tier->name()};
  return out;
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

result<void> attach(fast_path& fast, const settings& options) {
  if (!fast.tier)
    return {};
  auto done = fast.tier->attach(options.ebpf_interfaces);
  if (done)
    return {};
  if (options.ebpf == wish::on)
    return in("ebpf", done.error());
  // Half-attached would be neither: without all interfaces the tier's counters and claims would
  // not hold.
  fast.choice = {std::string{relay::tier_name}, {{"ebpf", done.error().message.substr(0, 500)}}};
  spdlog::warn("on sockets alone: {}", done.error().message);
  return {};
}

/// The unspecified address stands for both families, as far as the machine has them.
std::vector<net::endpoint> transparent_endpoints(const settings& options) {
  if (options.transparent_port == 0)
    return {};
  auto address = *parse_ip(options.listen_address);
  std::vector<net::endpoint> out{{address, options.transparent_port}};
  auto other = ip_address::v6({});
  if (address == ip_address::v4(0) && net::listen_tcp({other, 0}))
    out.push_back({other, options.transparent_port});
  return out;
}

proxy::node_options options_of_node(const settings& options,
                                    const bus::cluster_api_key& key,
                                    const net::endpoint& serving,
                                    const proxy::tier_choice& tiers,
                                    std::shared_ptr<proxy::verdict_feed> verdicts) {
  proxy::node_options out;
  out.bus_urls = options.nats_urls;
  out.cluster_key = key;
  out.name = options.name;
  out.hostname = options.hostname;
  out.addresses = {"http://" + net::to_string(serving), "socks5://" + net::to_string(serving)};
  out.tiers = tiers;
  out.verdicts = std::move(verdicts);
  return out;
}

/// Where the relay's records go. record() is for the relay's reading thread.
struct record_sinks {
  std::unique_ptr<decision_log> log;             ///< null: none
  std::shared_ptr<proxy::verdict_feed> verdicts; ///< null: none
  told_verdicts told = told_verdicts::all;
  std::string proxy;
  std::atomic<std::shared_ptr<const proxy::revision_engine>> engine; ///< null: not there yet
  client_services services;

  void record(const relay::decision_record& r) {
    log_decision(r);
    auto wanted = verdicts != nullptr && (told == told_verdicts::all || !r.allowed)
                  && verdicts->admit(proxy::verdict_feed::clock::now());
    if (log == nullptr && !wanted)
      return;
    auto in_force = engine.load();
    auto service = services.at(in_force ? in_force->current() : nullptr, r.source.address);
    auto event = to_verdict(r, proxy, service);
    if (log)
      log->write(event);
    if (wanted)
      verdicts->push(std::move(event));
  }
};

/// The relay, and what its records go to, which outlives it.
struct serving_relay {
  std::unique_ptr<record_sinks> records = std::make_unique<record_sinks>();
  std::unique_ptr<relay::relay_server> relay;
};

result<serving_relay> start_relay(const settings& options) {
  serving_relay out;
  out.records->proxy = options.name;
  out.records->told = options.verdict_stream;
  if (options.verdict_stream != told_verdicts::none)
    out.records->verdicts = std::make_shared<proxy::verdict_feed>(
      proxy::verdict_feed::limits{.per_second = options.verdict_rate});
  if (!options.decision_log.empty()) {
    auto opened = decision_log::open(options.decision_log);
    if (!opened)
      return in("DECISION_LOG", opened.error());
    out.records->log = std::move(*opened);
  }
  relay::relay_settings how;
  how.proxy_listen = {*parse_ip(options.listen_address), options.listen_port};
  how.service_listen = *parse_ip(options.listen_address);
  how.transparent_listen = transparent_endpoints(options);
  how.tproxy = options.tproxy;
  how.proxy_protocol_from = options.proxy_protocol_from;
  how.ech = options.outer_name_counts ? relay::ech_policy::outer : relay::ech_policy::deny;
  how.forwarded = options.forwarded;
  how.workers = options.workers;
  auto on_record = [records = out.records.get()](const relay::decision_record& r) {
    records->record(r);
  };
  auto started = relay::relay_server::start(
    how, {on_record, [](const std::string& what) { spdlog::error("{}", what); }});
  if (!started)
    return in("relay", started.error());
  out.relay = std::move(*started);
  return out;
}

} // namespace

result<void> run(const settings& options, const std::function<void()>& wait_for_stop) {
  auto key = bus::parse_cluster_api_key(options.cluster_key);
  if (!key)
    return in("CLUSTER_API_KEY", key.error());
  auto file = proxy::revision_file::open(options.state_directory);
  if (!file)
    return in("state directory", file.error());
  auto serving = start_relay(options);
  if (!serving)
    return tl::unexpected(serving.error());
  auto& relay = *serving->relay;
  auto fast = choose_tiers(options);
  if (!fast)
    return tl::unexpected(fast.error());
  relay_tier sockets{relay};
  std::vector<proxy::tier*> tiers;
  if (fast->tier)
    tiers.push_back(fast->tier.get()); // the one whose switch can fail goes first
  tiers.push_back(&sockets);
  auto engine = std::make_shared<proxy::revision_engine>(std::move(*file), tiers);
  serving->records->engine = engine;
  restore(*engine, key->cluster_name);
  if (auto done = attach(*fast, options); !done)
    return done;

  caf::actor_system_config config;
  // The actors have little to do here, and the default policy's workers look for work all the time.
  config.set("scheduler.policy", caf::atom("sharing"));
  caf::actor_system system{config};
  auto node_options =
    options_of_node(options, *key, {*parse_ip(options.listen_address), relay.proxy_port()},
                    fast->choice, serving->records->verdicts);
  auto counters = [tiers] {
    std::map<std::string, std::uint64_t> all;
    for (const auto* one : tiers)
      all.merge(one->counters());
    return all;
  };
  auto node = proxy::spawn_node(system, node_options, engine, {counters});
  auto view = std::make_unique<admin_view>(admin_view{
    system, node, engine, relay, serving->records->log.get(), serving->records->verdicts.get(),
    fast->choice.chosen == "ebpf" ? fast->tier.get() : nullptr, fast->choice});
  auto admin =
    http::server::start({.listen = {*parse_ip(options.admin_address), options.admin_port}},
                        [&](const http::request& request) { return answer_admin(*view, request); });
  if (!admin) {
    caf::anon_send_exit(node, caf::exit_reason::user_shutdown);
    view.reset();
    return in("admin port", admin.error());
  }
  std::cout << "marchproxy-egress " << version() << " proxy " << node_options.addresses.front()
            << ", admin " << net::to_string((*admin)->local()) << ", tier " << fast->choice.chosen
            << std::endl;
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

} // namespace marchproxy::egress
