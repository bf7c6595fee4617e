// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/settings.hpp"

#include "actors/bus/cluster_key.hpp"
#include "nodes/program/environment.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace marchproxy::egress {

namespace {

void read_wish(program::environment& env, const char* name, wish& out) {
  std::string value = "auto";
  env.text(name, value);
  if (value == "true")
    out = wish::on;
  else if (value == "false")
    out = wish::off;
  else if (value != "auto")
    env.wrong(name, "must be true, false or auto");
}

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

void read_told(program::environment& env, const char* name, told_verdicts& out) {
  std::string value = "all";
  env.text(name, value);
  if (value == "deny")
    out = told_verdicts::deny;
  else if (value == "off")
    out = told_verdicts::none;
  else if (value != "all")
    env.wrong(name, "must be all, deny or off");
}

void read_forwarded(program::environment& env, relay::client_fields& out) {
  using enum relay::client_fields;
  constexpr std::array<std::pair<std::string_view, relay::client_fields>, 4> words = {
    {{"off", off}, {"x-forwarded-for", x_forwarded_for}, {"forwarded", forwarded}, {"both", both}}};
  std::string value = "off";
  env.text("FORWARDED", value);
  const auto* found =
    std::find_if(words.begin(), words.end(), [&](const auto& word) { return word.first == value; });
  if (found == words.end())
    env.wrong("FORWARDED", "must be off, x-forwarded-for, forwarded or both");
  else
    out = found->second;
}

std::string own_hostname() {
  std::array<char, 256> buffer{};
  return ::gethostname(buffer.data(), buffer.size() - 1) == 0 ? buffer.data() : "localhost";
}

} // namespace

result<settings> read_settings(const std::map<std::string, std::string>& variables,
                               bool for_probe) {
  program::environment env{variables};
  settings out;
  env.list("NATS_URL", out.nats_urls);
  env.secret("CLUSTER_API_KEY", out.cluster_key);
  if (!for_probe) {
    if (out.cluster_key.empty())
      env.wrong("CLUSTER_API_KEY",
                "is required: the key that the manager showed when the cluster was made");
    else if (auto parsed = bus::parse_cluster_api_key(out.cluster_key); !parsed)
      env.wrong("CLUSTER_API_KEY", parsed.error().message);
  }
  out.hostname = own_hostname();
  out.name = out.hostname;
  env.text("PROXY_NAME", out.name);
  if (out.name.size() > 100)
    env.wrong("PROXY_NAME", "must have at most 100 bytes");
  std::string directory = out.state_directory.string();
  env.text("STATE_DIR", directory);
  out.state_directory = directory;
  env.address("LISTEN_ADDRESS", out.listen_address);
  env.port("LISTEN_PORT", out.listen_port);
  read_prefixes(env, "PROXY_PROTOCOL_FROM", out.proxy_protocol_from);
  env.port("TRANSPARENT_PORT", out.transparent_port);
  std::string mode = "redirect";
  env.text("TRANSPARENT_MODE", mode);
  out.tproxy = mode == "tproxy";
  if (mode != "redirect" && mode != "tproxy")
    env.wrong("TRANSPARENT_MODE", "must be redirect or tproxy");
  if (out.transparent_port != 0 && out.transparent_port == out.listen_port)
    env.wrong("TRANSPARENT_PORT", "must differ from LISTEN_PORT");
  std::string ech = "deny";
  env.text("ECH", ech);
  out.outer_name_counts = ech == "outer";
  if (ech != "deny" && ech != "outer")
    env.wrong("ECH", "must be deny or outer");
  read_forwarded(env, out.forwarded);
  env.address("ADMIN_ADDRESS", out.admin_address);
  env.port("ADMIN_PORT", out.admin_port);
  env.number<unsigned>("WORKERS", out.workers, 256);
  out.workers = std::max(out.workers, 1U);
  read_wish(env, "ENABLE_EBPF", out.ebpf);
  env.list("EBPF_INTERFACES", out.ebpf_interfaces);
  std::string decisions;
  env.text("DECISION_LOG", decisions);
  out.decision_log = decisions;
  read_told(env, "VERDICT_STREAM", out.verdict_stream);
  env.number<std::uint32_t>("VERDICT_RATE", out.verdict_rate, 1'000'000);
  if (out.verdict_rate == 0)
    env.wrong("VERDICT_RATE", "must be 1 to 1000000; VERDICT_STREAM=off tells none");
  env.log_level(out.log_level);
  if (auto checked = env.check(); !checked)
    return tl::unexpected(checked.error());
  return out;
}

} // namespace marchproxy::egress
