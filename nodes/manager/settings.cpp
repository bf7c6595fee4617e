// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/manager/settings.hpp"

#include "actors/base/ip.hpp"

#include <array>
#include <charconv>

namespace marchproxy::manager_node {

namespace {

/// Reads variables and collects what is wrong with them.
class reader {
public:
  explicit reader(const std::map<std::string, std::string>& variables) : variables_(variables) {}

  void text(const char* name, std::string& out) const {
    if (auto found = variables_.find(name); found != variables_.end() && !found->second.empty())
      out = found->second;
  }
  void secret(const char* name, crypto::secret& out) const {
    if (auto found = variables_.find(name); found != variables_.end())
      out = crypto::secret{found->second};
  }
  void port(const char* name, std::uint16_t& out) {
    std::string value;
    text(name, value);
    if (value.empty())
      return;
    auto [at, ec] = std::from_chars(value.data(), value.data() + value.size(), out);
    if (ec != std::errc{} || at != value.data() + value.size())
      wrong(name, "must be a port, 0 to 65535");
  }
  void address(const char* name, std::string& out) {
    text(name, out);
    if (!parse_ip(out))
      wrong(name, "must be an IP address");
  }
  void list(const char* name, std::vector<std::string>& out) const {
    std::string value;
    text(name, value);
    for (std::size_t at = 0; at < value.size();) {
      auto end = std::min(value.find(',', at), value.size());
      if (end > at)
        out.push_back(value.substr(at, end - at));
      at = end + 1;
    }
  }
  void wrong(const char* name, const char* why) { errors_.push_back({name, why}); }
  [[nodiscard]] const std::vector<field_error>& errors() const noexcept { return errors_; }

private:
  const std::map<std::string, std::string>& variables_;
  std::vector<field_error> errors_;
};

} // namespace

result<settings> read_settings(const std::map<std::string, std::string>& variables) {
  reader env{variables};
  settings out;
  std::string directory = out.data_directory.string();
  env.text("DATA_DIR", directory);
  out.data_directory = directory;
  env.address("LISTEN_ADDRESS", out.listen_address);
  env.port("LISTEN_PORT", out.listen_port);
  env.list("NATS_URL", out.nats_urls);
  env.address("NATS_LISTEN_ADDRESS", out.nats_listen_address);
  env.port("NATS_LISTEN_PORT", out.nats_listen_port);
  env.secret("ADMIN_PASSWORD", out.admin_password);
  env.secret("MARCHPROXY_KEK", out.kek);
  env.text("LOG_LEVEL", out.log_level);
  constexpr std::array levels = {"trace", "debug", "info", "warn", "error"};
  if (std::find(levels.begin(), levels.end(), out.log_level) == levels.end())
    env.wrong("LOG_LEVEL", "must be trace, debug, info, warn or error");
  if (!out.admin_password.empty() && out.admin_password.size() < 12)
    env.wrong("ADMIN_PASSWORD", "must have at least 12 characters");
  std::string kind = "sqlite";
  env.text("DB_TYPE", kind);
  env.text("DATABASE_URL", out.database_url);
  if (kind != "sqlite" && kind != "postgres")
    env.wrong("DB_TYPE", "must be sqlite or postgres");
  else if (kind == "postgres" && !out.database_url.starts_with("postgres"))
    env.wrong("DATABASE_URL", "must be postgresql://... with DB_TYPE=postgres");
  if (out.database_url.empty())
    out.database_url = "sqlite:" + (out.data_directory / "marchproxy.db").string();
  if (std::string mode; env.text("RELEASE_MODE", mode), !mode.empty() && mode != "false")
    env.wrong("RELEASE_MODE", "only false works in this version");
  if (env.errors().empty())
    return out;
  error e{errc::invalid_argument, "the environment is not usable", env.errors()};
  return tl::unexpected(std::move(e));
}

} // namespace marchproxy::manager_node
