// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/manager/node.hpp"

#include "actors/base/version.hpp"
#include "actors/crypto/encoding.hpp"
#include "actors/crypto/password.hpp"
#include "actors/crypto/random.hpp"
#include "actors/crypto/seal.hpp"
#include "nodes/api/service.hpp"
#include "nodes/http/server.hpp"
#include "nodes/manager/backend.hpp"
#include "nodes/privileges/capabilities.hpp"
#include "nodes/privileges/syscall_filter.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include <fcntl.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>

namespace marchproxy::manager_node {

namespace {

tl::unexpected<error> in(const char* part, const error& e) {
  return tl::unexpected(error{e.code, std::string{part} + ": " + e.message, e.fields});
}

/// The key-encryption key: given, or kept in a file of mode 0600 that the first start makes.
result<crypto::sealing_key> load_kek(const settings& options) {
  if (!options.kek.empty()) {
    auto bytes = crypto::from_base64(options.kek.expose());
    if (!bytes || bytes->size() != 32)
      return fail_field("MARCHPROXY_KEK", "must be base64 of 32 bytes");
    return crypto::sealing_key::from_bytes(crypto::secret::take(*bytes));
  }
  auto path = options.data_directory / "kek";
  if (std::ifstream file{path}; file) {
    std::string text;
    std::getline(file, text);
    auto bytes = crypto::from_base64(text);
    if (!bytes || bytes->size() != 32)
      return fail(errc::corrupt, path.string() + " does not hold a key");
    return crypto::sealing_key::from_bytes(crypto::secret::take(*bytes));
  }
  auto fresh = crypto::sealing_key::generate();
  auto text = crypto::to_base64(fresh.bytes().expose()) + "\n";
  auto fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  auto written = fd >= 0 ? ::write(fd, text.data(), text.size()) : -1;
  auto ok = written == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  if (fd >= 0)
    ::close(fd);
  if (!ok)
    return fail(errc::unavailable, path.string() + ": " + std::strerror(errno));
  return fresh;
}

/// The first administrator: a password that was given, or one that is printed once and stored
/// nowhere in the clear.
result<void> bootstrap_administrator(storage::store& store, const settings& options) {
  auto known = store.user_by_name("admin");
  if (known)
    return {};
  if (known.error().code != errc::not_found)
    return tl::unexpected(known.error());
  auto counts = store.counts();
  if (!counts)
    return tl::unexpected(counts.error());
  if (counts->users > 0)
    return {}; // "admin" was removed on purpose
  auto generated = options.admin_password.empty();
  auto password = generated ? crypto::secret{crypto::random_token(18)} : options.admin_password;
  auto hash = crypto::hash_password(password);
  if (!hash)
    return tl::unexpected(hash.error());
  storage::user_record admin;
  admin.name = "admin";
  admin.password_hash = *hash;
  admin.must_change = generated;
  admin.roles[cluster_id{}] = {"administrator"};
  storage::change_context by;
  by.actor_name = "first start";
  by.at = wall_now();
  if (auto done = store.create_user(by, admin); !done)
    return tl::unexpected(done.error());
  if (generated)
    std::cout << "First administrator: admin, password: " << password.expose()
              << "\nIt is shown only now; change it after the first login." << std::endl;
  return {};
}

/// Gauges of what the store counts, read at each scrape.
class store_metrics : public prometheus::Collectable {
public:
  explicit store_metrics(std::shared_ptr<storage::store> store) : store_(std::move(store)) {}

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    auto counts = store_->counts();
    std::vector<prometheus::MetricFamily> out;
    if (!counts)
      return out;
    auto add = [&](const char* name, const char* help, std::uint64_t value) {
      prometheus::MetricFamily family;
      family.name = name;
      family.help = help;
      family.type = prometheus::MetricType::Gauge;
      prometheus::ClientMetric metric;
      metric.gauge.value = static_cast<double>(value);
      family.metric.push_back(metric);
      out.push_back(std::move(family));
    };
    add("marchproxy_users_total", "Users.", counts->users);
    add("marchproxy_clusters_total", "Clusters.", counts->clusters);
    add("marchproxy_services_total", "Services.", counts->services);
    add("marchproxy_mappings_total", "Mappings.", counts->mappings);
    add("marchproxy_proxies_total", "Proxies that hold a seat.", counts->proxies);
    add("marchproxy_outbox_unsent", "Events that the bus has not taken yet.",
        counts->outbox_unsent);
    return out;
  }

private:
  std::shared_ptr<storage::store> store_;
};

std::filesystem::path nats_directory(const settings& options) {
  return options.data_directory / "nats";
}

/// What takes a privilege, or what the filter of system calls would not let through later.
struct made_before {
  std::shared_ptr<bus::server_parent> parent; ///< of the private nats-server; null: there is none
  net::unique_fd listener;                    ///< of the API; its port may be below 1024
};

/// Makes it, and gives up all capabilities and system calls that the manager has no use for
/// (SEC-4). No other thread runs yet.
result<made_before> give_up(const settings& options) {
  made_before out;
  if (options.nats_urls.empty()) {
    auto binary = bus::find_binary(bus::server_options{}.binary);
    if (!binary)
      return in("bus", binary.error());
    constexpr std::uint16_t first_free_for_all = 1024;
    const auto low = options.nats_listen_port != 0 && options.nats_listen_port < first_free_for_all;
    auto parent = bus::fork_parent(*binary, bus::configuration_of(nats_directory(options)), low);
    if (!parent)
      return in("bus", parent.error());
    out.parent = std::move(*parent);
  }
  auto listener = net::listen_tcp({*parse_ip(options.listen_address), options.listen_port},
                                  {.reuse_port = false});
  if (!listener)
    return in("API", listener.error());
  out.listener = std::move(*listener);
  if (auto kept = privileges::keep_only(0); !kept)
    return in("privileges", kept.error());
  if (auto filtered = privileges::install({}); !filtered)
    return in("privileges", filtered.error());
  return out;
}

/// The private nats-server, or the addresses of a real one.
result<std::unique_ptr<bus::embedded_server>> start_bus(const settings& options,
                                                        std::shared_ptr<bus::server_parent> parent,
                                                        manager::authority& trust,
                                                        std::vector<std::string>& urls) {
  std::unique_ptr<bus::embedded_server> server;
  urls = options.nats_urls;
  if (urls.empty()) {
    auto how = trust.server_options();
    how.directory = nats_directory(options);
    how.parent = std::move(parent);
    how.host = options.nats_listen_address;
    how.port = options.nats_listen_port;
    auto started = bus::embedded_server::start(std::move(how));
    if (!started)
      return tl::unexpected(started.error());
    server = std::move(*started);
    urls = {server->url()};
    spdlog::info("private nats-server {} as process {}", server->url(), server->pid());
  }
  if (auto up = trust.connect(urls); !up)
    return tl::unexpected(up.error());
  return server;
}

/// Starts the private server again when it has died; whoever uses it reconnects by itself.
void watch_server(bus::embedded_server& server, const std::stop_token& stop) {
  std::mutex sleeping;
  std::condition_variable_any wake;
  std::unique_lock asleep{sleeping};
  while (!wake.wait_for(asleep, stop, std::chrono::milliseconds{500},
                        [&] { return stop.stop_requested(); })) {
    if (server.alive())
      continue;
    spdlog::error("the private nats-server has ended; starting it again");
    if (auto done = server.restart(); !done)
      spdlog::error("nats-server: {}", to_string(done.error()));
  }
}

void register_version(prometheus::Registry& registry) {
  prometheus::BuildGauge()
    .Name("marchproxy_version_info")
    .Help("1, with the version as label.")
    .Register(registry)
    .Add({{"version", std::string{version()}}, {"component", "manager"}})
    .Set(1);
}

} // namespace

result<void> run(const settings& options, const std::function<void()>& wait_for_stop) {
  std::error_code ec;
  std::filesystem::create_directories(options.data_directory, ec);
  if (ec || ::chmod(options.data_directory.c_str(), 0700) != 0)
    return fail(errc::unavailable, options.data_directory.string() + ": "
                                     + (ec ? ec.message() : std::strerror(errno)));
  auto made = give_up(options);
  if (!made)
    return tl::unexpected(made.error());
  auto kek = load_kek(options);
  if (!kek)
    return in("key-encryption key", kek.error());
  auto opened = storage::store::open(options.database_url, std::move(*kek));
  if (!opened)
    return in("database", opened.error());
  std::shared_ptr<storage::store> store{std::move(*opened)};
  if (auto done = bootstrap_administrator(*store, options); !done)
    return in("first administrator", done.error());
  auto keyring = manager::authority::open(*store);
  if (!keyring)
    return in("bus keyring", keyring.error());
  std::shared_ptr<manager::authority> trust{std::move(*keyring)};
  std::vector<std::string> urls;
  auto server = start_bus(options, made->parent, *trust, urls);
  if (!server)
    return in("bus", server.error());

  caf::actor_system_config config;
  caf::actor_system system{config};
  backend operations{system, store, trust};
  auto hub =
    manager::spawn_hub(system, {store, trust, {}, 0, [&](cluster_id id, const std::string& bytes) {
                                  return operations.answer_request(id, bytes);
                                }});
  operations.attach(hub);

  auto registry = std::make_shared<prometheus::Registry>();
  register_version(*registry);
  auto stored_counts = std::make_shared<store_metrics>(store);
  api::service service{operations, registry, {.collectables = {stored_counts}}};
  auto listening = http::server::start(
    {}, [&](const http::request& request) { return service.handle(request); },
    std::move(made->listener));
  if (!listening) {
    caf::anon_send_exit(hub, caf::exit_reason::user_shutdown);
    return in("API", listening.error());
  }
  std::cout << "marchproxy-manager " << version() << " listening on "
            << net::to_string((*listening)->local()) << ", bus " << urls.front() << std::endl;
  std::jthread watchdog;
  if (*server)
    watchdog = std::jthread{[&](const std::stop_token& stop) { watch_server(**server, stop); }};
  wait_for_stop();
  spdlog::info("stopping");
  watchdog = {};
  listening->reset();
  caf::anon_send_exit(hub, caf::exit_reason::user_shutdown);
  operations.attach(manager::hub_actor{});
  hub = manager::hub_actor{};
  system.await_all_actors_done();
  return {};
}

} // namespace marchproxy::manager_node
