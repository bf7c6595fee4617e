// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/node.hpp"

#include "actors/base/version.hpp"
#include "actors/proxy/node.hpp"
#include "nodes/net/lease_file.hpp"
#include "nodes/serving/takeover.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/send.hpp>

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <thread>

namespace marchproxy::serving {

namespace {

constexpr auto drain_grace = std::chrono::seconds{2};
constexpr auto admin_patience = std::chrono::seconds{5};
constexpr auto drain_look =
  std::chrono::milliseconds{250}; ///< whether all is done, or a revision came

tl::unexpected<error> in(const char* part, const error& e) {
  return tl::unexpected(error{e.code, std::string{part} + ": " + e.message, e.fields});
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

/// One proxy, from its start to its end.
class process {
public:
  process(const node_settings& options, const blueprint& plan) : options_(options), plan_(plan) {}
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() { leave(); }

  /// The relay, by the last good revision from disk, so that traffic is judged before, and without,
  /// the bus (BUS-3).
  [[nodiscard]] result<void> serve();
  /// The node on the bus, and the ports that one process at a time has.
  [[nodiscard]] result<void> join();
  /// Until the process shall end, or another has taken its place and all that was under way is
  /// done.
  void stay(const std::function<void()>& wait_for_stop);

private:
  void restore();
  [[nodiscard]] result<void> open_admin();
  void open_door();
  /// Gives up what join() made.
  void leave();
  void finish_behind_successor(const std::function<void()>& wait_for_stop);

  const node_settings& options_;
  const blueprint& plan_;
  bus::cluster_api_key key_;
  std::unique_ptr<predecessor> before_;
  bool took_over_ = false;
  std::unique_ptr<record_sinks> records_;
  std::unique_ptr<net::lease_file> leases_; ///< of the relay's resolvers
  std::unique_ptr<relay::relay_server> relay_;
  std::unique_ptr<relay_tier> sockets_;
  std::shared_ptr<proxy::revision_engine> engine_;
  std::vector<proxy::tier*> tiers_;
  proxy::tier_choice choice_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  proxy::node_actor node_;
  admin_extras extras_;
  std::unique_ptr<admin_view> view_;
  std::unique_ptr<http::server> admin_;
  std::shared_ptr<void> beside_;
  std::unique_ptr<successor_door> door_;
};

result<void> process::serve() {
  auto key = bus::parse_cluster_api_key(options_.cluster_key);
  if (!key)
    return in("CLUSTER_API_KEY", key.error());
  key_ = std::move(*key);
  auto file = proxy::revision_file::open(options_.state_directory);
  if (!file)
    return in("state directory", file.error());
  auto records = record_sinks::open(options_);
  if (!records)
    return in("DECISION_LOG", records.error());
  records_ = std::move(*records);
  if (options_.take_over) {
    auto before = predecessor::find(options_.state_directory, plan_.component);
    if (!before)
      return tl::unexpected(before.error());
    before_ = std::move(*before);
  }
  leases_ = std::make_unique<net::lease_file>(
    plan_.relay.resolver.leases, options_.state_directory / "leases",
    [](const std::string& what) { spdlog::warn("{}", what); });
  auto started = relay::relay_server::start(
    plan_.relay,
    {[to = records_.get()](const relay::decision_record& r) { to->take(r); },
     [](const std::string& what) { spdlog::error("{}", what); }},
    before_ ? before_->take_sockets() : std::vector<net::unique_fd>{});
  if (!started)
    return in("relay", started.error());
  relay_ = std::move(*started);
  sockets_ = std::make_unique<relay_tier>(*relay_, plan_.backends, plan_.relay.acceptor);
  tiers_ = plan_.faster_tiers;
  tiers_.push_back(sockets_.get());
  engine_ = std::make_shared<proxy::revision_engine>(std::move(*file), tiers_);
  records_->follow(engine_);
  restore();
  if (before_ && !engine_->current())
    return fail(errc::refused, "taking over: no stored revision can be put in force; the process "
                               "that serves goes on");
  auto choice = plan_.attach();
  if (!choice)
    return tl::unexpected(choice.error());
  choice_ = std::move(*choice);
  relay_->close_inherited();
  if (before_) {
    before_->succeed();
    took_over_ = true;
    before_.reset();
  }
  return {};
}

void process::restore() {
  auto authority = proxy::read_authority(engine_->file());
  if (!authority || authority->cluster != key_.cluster_name)
    return;
  auto restored = engine_->restore(*authority);
  if (!restored)
    spdlog::error("the stored revision is not usable: {}", to_string(restored.error()));
  else if (*restored)
    spdlog::info("revision {} is in force, from disk", restored->value);
}

result<void> process::join() {
  // The actors have little to do here, and the default policy's workers look for work all the time.
  config_.set("scheduler.policy", caf::atom("sharing"));
  system_ = std::make_unique<caf::actor_system>(config_);
  proxy::node_options node_options;
  node_options.bus_urls = options_.nats_urls;
  node_options.cluster_key = key_;
  node_options.name = options_.name;
  node_options.hostname = options_.hostname;
  node_options.kind = plan_.kind;
  node_options.addresses = plan_.addresses(relay_->proxy_port());
  node_options.tiers = choice_;
  node_options.verdicts = records_->verdicts();
  node_ = proxy::spawn_node(*system_, node_options, engine_, sum_of(tiers_));
  extras_ = plan_.extras(*sockets_);
  view_ =
    std::make_unique<admin_view>(admin_view{plan_.component, *system_, node_, engine_, *relay_,
                                            *sockets_, *records_, choice_, *plan_.may, extras_});
  if (auto opened = open_admin(); !opened)
    return in("admin port", opened.error());
  if (plan_.beside) {
    auto begun = plan_.beside(*engine_);
    if (!begun)
      return tl::unexpected(begun.error());
    beside_ = std::move(*begun);
  }
  open_door();
  announce(plan_, node_options.addresses, admin_->local(), choice_.chosen);
  return {};
}

result<void> process::open_admin() {
  const auto until = std::chrono::steady_clock::now() + admin_patience;
  while (true) {
    auto admin = http::server::start(
      {.listen = {*parse_ip(options_.admin_address), options_.admin_port}},
      [view = view_.get()](const http::request& request) { return answer_admin(*view, request); });
    if (admin) {
      admin_ = std::move(*admin);
      return {};
    }
    // The process before may have been told to end just when it was to let go.
    if (!took_over_ || admin.error().code != errc::conflict
        || std::chrono::steady_clock::now() > until)
      return tl::unexpected(admin.error());
    std::this_thread::sleep_for(drain_look);
  }
}

void process::open_door() {
  if (!options_.take_over)
    return;
  auto door =
    successor_door::open({options_.state_directory, plan_.component,
                          [this] { return relay_->listening(); }, [] { kill(getpid(), SIGTERM); }});
  if (door)
    door_ = std::move(*door);
  else
    spdlog::warn("no other process can take over: {}", to_string(door.error()));
}

void process::leave() {
  beside_.reset();
  admin_.reset();
  view_.reset();
  if (node_)
    caf::anon_send_exit(node_, caf::exit_reason::user_shutdown);
  node_ = proxy::node_actor{};
  if (system_)
    system_->await_all_actors_done();
}

void process::stay(const std::function<void()>& wait_for_stop) {
  wait_for_stop();
  if (door_ && door_->taken())
    return finish_behind_successor(wait_for_stop);
  spdlog::info("stopping");
  door_.reset();
  relay_->stop(drain_grace);
}

void process::finish_behind_successor(const std::function<void()>& wait_for_stop) {
  spdlog::info("another process serves; finishing what is under way, for {} s at most",
               options_.drain_seconds);
  leases_->let_go();
  relay_->retire(std::chrono::seconds{options_.drain_seconds});
  leave();
  door_->release();
  // The other process writes each revision to the directory that both have.
  std::jthread follower{[this](const std::stop_token& stop) {
    auto since = engine_->file().active_since();
    while (!stop.stop_requested() && !relay_->drained()) {
      std::this_thread::sleep_for(drain_look);
      if (auto now = engine_->file().active_since(); now != since) {
        since = now;
        restore();
      }
    }
    kill(getpid(), SIGTERM);
  }};
  wait_for_stop();
  spdlog::info(relay_->drained() ? "all is done" : "stopping before all is done");
  relay_->stop(drain_grace);
}

} // namespace

result<void> run(const node_settings& options,
                 const blueprint& plan,
                 const std::function<void()>& wait_for_stop) {
  process one{options, plan};
  if (auto serves = one.serve(); !serves)
    return serves;
  if (auto joined = one.join(); !joined)
    return joined;
  one.stay(wait_for_stop);
  return {};
}

} // namespace marchproxy::serving
