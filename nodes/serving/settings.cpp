// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/settings.hpp"

#include "actors/bus/cluster_key.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <utility>

namespace marchproxy::serving {

namespace {

void read_prefixes(program::environment& env, const char* name, std::vector<ip_prefix>& out) {
  std::vector<std::string> words;
  env.list(name, words);
  for (const auto& word : words) {
    auto prefix = parse_prefix(word);
    if (!prefix)
      return env.wrong(name, "'" + word + "' is no IP address or CIDR");
    out.push_back(*prefix);
  }
}

/// One of some words, over the one that @p out stands for.
template <class T, std::size_t N>
void read_choice(program::environment& env,
                 const char* name,
                 const std::array<std::pair<std::string_view, T>, N>& words,
                 T& out) {
  std::string value;
  std::string all;
  for (const auto& [word, which] : words) {
    if (which == out)
      value = word;
    all += all.empty() ? "" : word == words.back().first ? " or " : ", ";
    all += word;
  }
  env.text(name, value);
  const auto* found =
    std::find_if(words.begin(), words.end(), [&](const auto& word) { return word.first == value; });
  if (found == words.end())
    env.wrong(name, "must be " + all);
  else
    out = found->second;
}

constexpr std::array<std::pair<std::string_view, relay::client_fields>, 4> client_fields_words = {
  {{"off", relay::client_fields::off},
   {"x-forwarded-for", relay::client_fields::x_forwarded_for},
   {"forwarded", relay::client_fields::forwarded},
   {"both", relay::client_fields::both}}};

constexpr std::array<std::pair<std::string_view, told_verdicts>, 3> told_words = {
  {{"all", told_verdicts::all}, {"deny", told_verdicts::deny}, {"off", told_verdicts::none}}};

constexpr std::array<std::pair<std::string_view, relay::io_choice>, 3> io_words = {
  {{"epoll", relay::io_choice::epoll},
   {"auto", relay::io_choice::automatic},
   {"io_uring", relay::io_choice::io_uring}}};

constexpr std::array<std::pair<std::string_view, bool>, 2> truth_words = {
  {{"true", true}, {"false", false}}};

void read_seconds(program::environment& env,
                  const char* name,
                  std::uint32_t most,
                  std::chrono::seconds& out) {
  auto value = static_cast<std::uint32_t>(out.count());
  env.number<std::uint32_t>(name, value, most);
  out = std::chrono::seconds{value};
}

void read_leases(program::environment& env, net::lease_terms& out) {
  constexpr std::uint32_t week = 604'800;
  read_seconds(env, "DNS_TTL_MIN", 3600, out.shortest);
  read_seconds(env, "DNS_TTL_MAX", week, out.longest);
  if (out.longest < out.shortest)
    env.wrong("DNS_TTL_MAX", "must not be less than DNS_TTL_MIN");
  read_seconds(env, "DNS_NEGATIVE_TTL", 3600, out.without_address);
  read_seconds(env, "DNS_STALE_SECONDS", week, out.stale);
  env.number<std::size_t>("DNS_CACHE_ENTRIES", out.most_names, 100'000);
}

std::string own_hostname() {
  std::array<char, 256> buffer{};
  return ::gethostname(buffer.data(), buffer.size() - 1) == 0 ? buffer.data() : "localhost";
}

void read_key(program::environment& env, bool for_probe, crypto::secret& out) {
  env.secret("CLUSTER_API_KEY", out);
  if (for_probe)
    return;
  if (out.empty())
    env.wrong("CLUSTER_API_KEY",
              "is required: the key that the manager showed when the cluster was made");
  else if (auto parsed = bus::parse_cluster_api_key(out); !parsed)
    env.wrong("CLUSTER_API_KEY", parsed.error().message);
}

} // namespace

void read_truth(program::environment& env, const char* name, bool& out) {
  read_choice(env, name, truth_words, out);
}

void read_path(program::environment& env, const char* name, std::filesystem::path& out) {
  auto text = out.string();
  env.text(name, text);
  out = text;
}

void read_node_settings(program::environment& env, bool for_probe, node_settings& out) {
  env.list("NATS_URL", out.nats_urls);
  read_key(env, for_probe, out.cluster_key);
  out.hostname = own_hostname();
  out.name = out.hostname;
  env.text("PROXY_NAME", out.name);
  if (out.name.size() > 100)
    env.wrong("PROXY_NAME", "must have at most 100 bytes");
  read_path(env, "STATE_DIR", out.state_directory);
  env.address("LISTEN_ADDRESS", out.listen_address);
  read_prefixes(env, "PROXY_PROTOCOL_FROM", out.proxy_protocol_from);
  read_choice(env, "FORWARDED", client_fields_words, out.forwarded);
  env.address("ADMIN_ADDRESS", out.admin_address);
  env.port("ADMIN_PORT", out.admin_port);
  env.number<unsigned>("WORKERS", out.workers, 256);
  out.workers = std::max(out.workers, 1U);
  read_choice(env, "IO_BACKEND", io_words, out.io);
  read_truth(env, "TAKE_OVER", out.take_over);
  env.number<std::uint32_t>("DRAIN_SECONDS", out.drain_seconds, 604'800);
  read_path(env, "DECISION_LOG", out.decision_log);
  read_choice(env, "VERDICT_STREAM", told_words, out.verdict_stream);
  env.number<std::uint32_t>("VERDICT_RATE", out.verdict_rate, 1'000'000);
  if (out.verdict_rate == 0)
    env.wrong("VERDICT_RATE", "must be 1 to 1000000; VERDICT_STREAM=off tells none");
  read_leases(env, out.leases);
  env.log_level(out.log_level);
}

relay::relay_settings relay_settings_of(const node_settings& options) {
  relay::relay_settings out;
  out.service_listen = *parse_ip(options.listen_address);
  out.proxy_protocol_from = options.proxy_protocol_from;
  out.forwarded = options.forwarded;
  out.workers = options.workers;
  out.io = options.io;
  out.resolver.leases = std::make_shared<net::lease_store>(options.leases);
  return out;
}

} // namespace marchproxy::serving
