// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/settings.hpp"

#include "actors/base/ip.hpp"
#include "actors/bus/cluster_key.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace marchproxy::egress {

namespace {

class reader {
public:
  explicit reader(const std::map<std::string, std::string>& variables) : variables_(variables) {}

  [[nodiscard]] std::string text(const char* name, std::string otherwise) const {
    auto found = variables_.find(name);
    return found == variables_.end() || found->second.empty() ? std::move(otherwise)
                                                              : found->second;
  }
  template <class Number>
  void number(const char* name, Number& out, Number most) {
    auto value = text(name, "");
    if (value.empty())
      return;
    auto [at, ec] = std::from_chars(value.data(), value.data() + value.size(), out);
    if (ec != std::errc{} || at != value.data() + value.size() || out > most)
      wrong(name, "must be a number, 0 to " + std::to_string(most));
  }
  void address(const char* name, std::string& out) {
    out = text(name, out);
    if (!parse_ip(out))
      wrong(name, "must be an IP address");
  }
  void list(const char* name, std::vector<std::string>& out) const {
    auto value = text(name, "");
    if (value.empty())
      return;
    out.clear();
    for (std::size_t at = 0; at < value.size();) {
      auto end = std::min(value.find(',', at), value.size());
      if (end > at)
        out.push_back(value.substr(at, end - at));
      at = end + 1;
    }
  }
  void choice(const char* name, wish& out) {
    auto value = text(name, "auto");
    if (value == "true")
      out = wish::on;
    else if (value == "false")
      out = wish::off;
    else if (value != "auto")
      wrong(name, "must be true, false or auto");
  }
  void wrong(const char* name, std::string why) { errors_.push_back({name, std::move(why)}); }
  [[nodiscard]] const std::vector<field_error>& errors() const noexcept { return errors_; }

private:
  const std::map<std::string, std::string>& variables_;
  std::vector<field_error> errors_;
};

std::string own_hostname() {
  std::array<char, 256> buffer{};
  return ::gethostname(buffer.data(), buffer.size() - 1) == 0 ? buffer.data() : "localhost";
}

} // namespace

result<settings> read_settings(const std::map<std::string, std::string>& variables,
                               bool for_probe) {
  reader env{variables};
  settings out;
  env.list("NATS_URL", out.nats_urls);
  out.cluster_key = crypto::secret{env.text("CLUSTER_API_KEY", "")};
  if (!for_probe) {
    if (out.cluster_key.empty())
      env.wrong("CLUSTER_API_KEY",
                "is required: the key that the manager showed when the cluster was made");
    else if (auto parsed = bus::parse_cluster_api_key(out.cluster_key); !parsed)
      env.wrong("CLUSTER_API_KEY", parsed.error().message);
  }
  out.hostname = own_hostname();
  out.name = env.text("PROXY_NAME", out.hostname);
  if (out.name.size() > 100)
    env.wrong("PROXY_NAME", "must have at most 100 bytes");
  out.state_directory = env.text("STATE_DIR", out.state_directory.string());
  env.address("LISTEN_ADDRESS", out.listen_address);
  env.number<std::uint16_t>("LISTEN_PORT", out.listen_port, 65535);
  env.address("ADMIN_ADDRESS", out.admin_address);
  env.number<std::uint16_t>("ADMIN_PORT", out.admin_port, 65535);
  env.number<unsigned>("WORKERS", out.workers, 256);
  out.workers = std::max(out.workers, 1U);
  env.choice("ENABLE_EBPF", out.ebpf);
  env.list("EBPF_INTERFACES", out.ebpf_interfaces);
  out.log_level = env.text("LOG_LEVEL", out.log_level);
  constexpr std::array levels = {"trace", "debug", "info", "warn", "error"};
  if (std::find(levels.begin(), levels.end(), out.log_level) == levels.end())
    env.wrong("LOG_LEVEL", "must be trace, debug, info, warn or error");
  if (!env.errors().empty())
    return tl::unexpected(
      error{errc::invalid_argument, "the environment is not usable", env.errors()});
  return out;
}

} // namespace marchproxy::egress
