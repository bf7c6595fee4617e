// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/resolver_port.hpp"

#include "nodes/net/lease_file.hpp"
#include "nodes/net/name_servers.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <thread>

namespace marchproxy::egress {

namespace {

/// The process before may have been told to let go just now.
constexpr auto port_patience = std::chrono::seconds{5};
constexpr auto port_look = std::chrono::milliseconds{10};
constexpr std::size_t most_told = 50'000; ///< names; some 10 MB

/// What serves, in an order that lets a successor, which waits for the port, find the file whole.
struct serving_resolver {
  std::unique_ptr<dns::server> server;
  std::unique_ptr<net::lease_file> kept;
};

/// A question sent there would come back here, and again.
bool is_ours(const net::endpoint& server, const std::vector<net::endpoint>& listen) {
  return std::any_of(listen.begin(), listen.end(), [&](const net::endpoint& at) {
    if (at.port != server.port || at.address.family != server.address.family)
      return false;
    const auto any = at.address == ip_address::v4(0) || at.address == ip_address::v6({});
    return at.address == server.address || (any && net::bind_udp({server.address, 0}).has_value());
  });
}

result<std::unique_ptr<dns::server>> start(const dns::server_options& options) {
  const auto until = std::chrono::steady_clock::now() + port_patience;
  while (true) {
    auto started = dns::server::start(options);
    if (started || started.error().code != errc::conflict
        || std::chrono::steady_clock::now() > until)
      return started;
    std::this_thread::sleep_for(port_look);
  }
}

} // namespace

resolver_port::resolver_port(const settings& options) : options_(options) {
  if (options.dns_listen_port == 0)
    return;
  told_ = std::make_shared<net::lease_store>(
    net::lease_terms{.longest = options.leases.longest, .most_names = most_told});
  counts_ = std::make_shared<dns::counters>();
}

result<std::shared_ptr<void>> resolver_port::serve(std::vector<net::endpoint> listen,
                                                   const proxy::revision_engine& engine) const {
  if (!told_)
    return std::shared_ptr<void>{};
  auto servers = net::name_servers();
  if (!servers)
    return tl::unexpected(servers.error());
  for (const auto& each : *servers)
    if (is_ours(each, listen))
      return fail(errc::invalid_argument,
                  "the machine's name server " + net::to_string(each) + " is this resolver itself");
  auto out = std::make_shared<serving_resolver>();
  auto started = start({.listen = std::move(listen),
                        .to = {.servers = std::move(*servers)},
                        .policy = [&engine] { return engine.current(); },
                        .told = told_,
                        .counts = counts_});
  if (!started)
    return tl::unexpected(started.error());
  out->server = std::move(*started);
  out->kept =
    std::make_unique<net::lease_file>(told_, options_.state_directory / "told",
                                      [](const std::string& what) { spdlog::warn("{}", what); });
  return std::shared_ptr<void>{out};
}

void resolver_port::add_metrics(serving::metric_list& out) const {
  if (!counts_)
    return;
  constexpr auto questions = "marchproxy_resolver_questions_total";
  constexpr auto asked = "Questions of clients to the resolver.";
  out.counter(questions, asked, counts_->udp.get(), {{"protocol", "udp"}});
  out.counter(questions, asked, counts_->tcp.get(), {{"protocol", "tcp"}});
  for (std::size_t i = 0; i < dns::rcode_names.size(); ++i)
    out.counter("marchproxy_resolver_answers_total", "Answers to them.", counts_->answers[i].get(),
                {{"rcode", std::string{dns::rcode_names[i]}}});
  out.counter("marchproxy_resolver_truncated_total", "Answers too long for UDP.",
              counts_->truncated.get());
  out.counter("marchproxy_resolver_ech_removed_total",
              "Parameters ech that were taken out of answers.", counts_->ech_removed.get());
  out.counter("marchproxy_resolver_upstream_failures_total",
              "Questions that no name server answered in a way that can be read.",
              counts_->upstream_failures.get());
  out.counter("marchproxy_resolver_limited_total",
              "Questions and connections of clients beyond a bound.", counts_->limited.get());
}

} // namespace marchproxy::egress
