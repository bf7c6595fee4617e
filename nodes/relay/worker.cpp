// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/relay/worker.hpp"

#include <algorithm>
#include <csignal>
#include <future>
#include <utility>

namespace marchproxy::relay {

result<std::unique_ptr<worker>> worker::start(plan p) {
  auto loop = net::event_loop::create();
  if (!loop)
    return tl::unexpected(loop.error());
  auto resolver = net::resolver::create(**loop, p.settings.resolver);
  if (!resolver)
    return tl::unexpected(resolver.error());
  std::unique_ptr<worker> out{new worker{std::move(p), std::move(*loop), std::move(*resolver)}};
  auto& w = *out;
  if (!w.plan_.waits)
    if (auto opened = w.open_listeners(); !opened)
      return tl::unexpected(opened.error());
  w.loop_->set_turn_hooks([&w] { w.begin_turn(); }, [&w] { w.end_turn(); });
  std::promise<result<void>> ready;
  auto is_ready = ready.get_future();
  w.thread_ = std::thread{[&w, ready = std::move(ready)]() mutable {
    auto waits = w.loop_->wait_by(w.plan_.waits_by);
    const auto runs = waits.has_value();
    ready.set_value(std::move(waits));
    if (!runs)
      return;
    // splice() into a closed socket raises SIGPIPE, which no flag keeps away.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    w.loop_->run();
    w.ended_.store(true, std::memory_order_release);
  }};
  if (auto waits = is_ready.get(); !waits)
    return tl::unexpected(waits.error());
  return out;
}

result<void> worker::open_listeners() {
  if (plan_.proxy) {
    proxy_port_ = net::local_endpoint(plan_.proxy.get()).port;
    auto proxy = net::listener::open(*loop_, std::move(plan_.proxy),
                                     [this](net::accepted a) { take_client(std::move(a), {}); });
    if (!proxy)
      return tl::unexpected(proxy.error());
    proxy_ = std::move(*proxy);
  }
  for (auto& fd : std::exchange(plan_.transparent, {})) {
    auto at = net::local_endpoint(fd.get());
    auto opened = net::listener::open(*loop_, std::move(fd), [this, at](net::accepted a) {
      take_redirected_client(std::move(a), at);
    });
    if (!opened)
      return tl::unexpected(opened.error());
    transparent_.push_back(std::move(*opened));
  }
  for (auto& fd : std::exchange(plan_.transparent_udp, {})) {
    auto opened = udp_listener::open(context_, {.socket = std::move(fd),
                                                .via = entry::transparent,
                                                .target = std::nullopt,
                                                .seed = plan_.seed});
    if (!opened)
      return tl::unexpected(opened.error());
    transparent_udp_.push_back(*opened);
  }
  return {};
}

worker::worker(plan p,
               std::unique_ptr<net::event_loop> loop,
               std::unique_ptr<net::resolver> resolver)
  : plan_(std::move(p)),
    loop_(std::move(loop)),
    resolver_(std::move(resolver)),
    ring_(plan_.settings.record_ring),
    context_(plan_.settings, *loop_, *resolver_, counters_, ring_, plan_.seed),
    services_(
      *loop_,
      plan_.sockets,
      plan_.settings.service_listen,
      [this](net::accepted a, const service_target& to) {
        if (plan_.settings.ingress)
          take_client(std::move(a), ingress_port{to.to.port});
        else
          take_client(std::move(a), listener_session::way{entry::listener, to.to, to.introduces});
      }),
    udp_services_(context_, plan_.sockets, plan_.settings.service_listen, plan_.seed),
    health_(*loop_, *resolver_, plan_.settings.connector.get()),
    grace_([this] { context_.for_each([](connection& c) { c.abort(); }); }) {}

worker::~worker() {
  loop_->stop();
  join();
}

void worker::join() {
  if (thread_.joinable())
    thread_.join();
}

void worker::drain(std::chrono::milliseconds grace, bool patient) {
  loop_->post([this, grace, patient] { begin_drain(grace, patient); });
}

std::vector<net::unique_fd> worker::listening() {
  auto out = std::make_shared<std::promise<std::vector<net::unique_fd>>>();
  auto got = out->get_future();
  loop_->post([this, out] {
    std::vector<net::unique_fd> sockets;
    auto add = [&](int fd) { sockets.push_back(net::duplicate(fd)); };
    if (proxy_)
      add(proxy_->fd());
    for (const auto& each : transparent_)
      add(each->fd());
    for (const auto* each : transparent_udp_)
      add(each->fd());
    services_.for_each_socket(add);
    udp_services_.for_each_socket(add);
    std::erase_if(sockets, [](const net::unique_fd& fd) { return !fd; });
    out->set_value(std::move(sockets));
  });
  return got.get();
}

void worker::begin_drain(std::chrono::milliseconds grace, bool patient) {
  proxy_.reset();
  transparent_.clear();
  transparent_udp_.clear();
  services_.close();
  udp_services_.let_go();
  health_.follow(nullptr);
  context_.draining = true;
  context_.patient = patient;
  context_.upstreams.clear();
  loop_->arm(grace_, grace);
  context_.for_each([](connection& c) { c.on_drain(); });
}

void worker::begin_turn() {
  // Once a turn: all verdicts until the next come from this snapshot.
  if (plan_.snapshots.refresh(version_, context_.snapshot)) {
    follow_revision();
    in_force_.store(version_, std::memory_order_release);
  }
}

void worker::follow_revision() {
  if (std::exchange(plan_.waits, false))
    if (auto opened = open_listeners(); !opened)
      plan_.problem(to_string(opened.error()));
  if (!context_.draining && context_.snapshot && context_.snapshot->program) {
    auto quiet = [](const std::string&) {};
    const auto told = plan_.speaks ? plan_.problem : problem_sink{quiet};
    if (plan_.settings.ingress)
      services_.follow(ingress_listeners(context_.snapshot->routes.get()), plan_.problem);
    else
      follow_services(context_.snapshot->program->rules(), told);
    if (plan_.speaks)
      health_.follow(context_.snapshot->routes.get());
  }
  context_.upstreams.clear();
  context_.for_each([](connection& c) { c.on_new_revision(); });
}

/// @param problem  for what all workers see alike
void worker::follow_services(const model::ruleset& rules, const problem_sink& problem) {
  constexpr auto transparent = "the transparent entry";
  std::vector<own_port> tcp{{proxy_port_, "the proxy"}};
  for (const auto& each : transparent_)
    tcp.push_back({net::local_endpoint(each->fd()).port, transparent});
  std::vector<own_port> udp;
  for (const auto* each : transparent_udp_)
    udp.push_back({net::local_endpoint(each->fd()).port, transparent});
  if (const auto port = plan_.settings.dns_port; port != 0)
    for (auto* taken : {&tcp, &udp})
      taken->push_back({port, "the resolver"});
  services_.follow(wanted_listeners(rules, tcp, problem), plan_.problem);
  auto wanted = wanted_udp_listeners(rules, udp, problem);
  if (const auto port = plan_.settings.udp_port; port != 0)
    if (const auto first = first_udp_destination(rules))
      wanted.emplace(port, *first); // unless a service has asked for it
  udp_services_.follow(wanted, plan_.problem);
}

void worker::end_turn() {
  context_.bury();
  health_.bury();
  if (context_.take_emitted())
    plan_.on_records();
  if (context_.draining && context_.empty())
    loop_->stop();
}

bool worker::admit() {
  counters_.connections.add();
  if (counters_.open.get() >= plan_.settings.max_connections) {
    counters_.over_limit.add();
    return false;
  }
  counters_.open.add();
  return true;
}

bool worker::speaks_proxy_protocol(const ip_address& peer) const {
  const auto& from = plan_.settings.proxy_protocol_from;
  return std::any_of(from.begin(), from.end(),
                     [&](const ip_prefix& each) { return each.contains(peer); });
}

void worker::take_redirected_client(net::accepted a, const net::endpoint& listening) {
  auto meant = net::original_destination(a.fd.get());
  // Somebody who came to this port by itself: going on to where it "meant" to go would lead here
  // again, and again.
  if (meant.port == listening.port && meant == net::local_endpoint(a.fd.get())) {
    counters_.connections.add();
    return;
  }
  take_client(std::move(a),
              listener_session::way{entry::transparent, {wire::host{meant.address}, meant.port}},
              false);
}

void worker::take_client(net::accepted a, arrival how, bool may_say_who) {
  if (!admit())
    return;
  auto client = std::make_unique<stream>(*loop_, std::move(a.fd));
  if (may_say_who && speaks_proxy_protocol(a.peer.address))
    return context_.adopt(
      std::make_unique<header_session>(context_, std::move(client), a.peer, std::move(how)));
  context_.adopt(make_session(context_, std::move(client), a.peer, std::move(how),
                              buffer{context_.pools.buffers}));
}

} // namespace marchproxy::relay
