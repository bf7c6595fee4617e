// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/server_files.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

namespace marchproxy::bus {
namespace {

namespace fs = std::filesystem;

/// A JSON string is a quoted string of the configuration format too.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string read_file(const fs::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port != 0 ? std::optional{port}
                                                                               : std::nullopt;
}

/// Whole or not at all, for whoever reads it after a crash.
result<void> replace_file(const fs::path& path, const std::string& text) {
  const auto fresh = fs::path{path}.concat(".new");
  {
    std::ofstream out{fresh, std::ios::binary | std::ios::trunc};
    out << text;
    if (!out.flush())
      return fail(errc::unavailable, "cannot write " + fresh.string());
  }
  std::error_code failed;
  fs::rename(fresh, path, failed);
  if (failed)
    return fail(errc::unavailable, "cannot write " + path.string() + ": " + failed.message());
  return {};
}

} // namespace

std::string server_configuration(const server_options& options, std::uint16_t port) {
  const auto in = [&](const char* name) { return quoted((options.directory / name).string()); };
  std::ostringstream text;
  text << "server_name: " << quoted("marchproxy-" + options.system_account.substr(0, 12)) << "\n"
       << "host: " << quoted(options.host) << "\n"
       << "port: " << (port == 0 ? std::string{"-1"} : std::to_string(port)) << "\n"
       << "operator: " << quoted(options.operator_jwt) << "\n"
       << "system_account: " << quoted(options.system_account) << "\n"
       << "resolver: { type: full, dir: " << in("accounts")
       << ", allow_delete: true, interval: \"2m\" }\n"
       << "resolver_preload: {\n";
  for (const auto& [account, jwt] : options.accounts)
    text << "  " << quoted(account) << ": " << quoted(jwt) << "\n";
  // sync_interval: an acknowledged message survives a power cut.
  text << "}\n"
       << "jetstream {\n  store_dir: " << in("streams")
       << "\n  max_file: " << options.store_limit_bytes
       << "\n  max_mem: 67108864\n  sync_interval: always\n}\n"
       << "ports_file_dir: " << in("ports") << "\n"
       << "log_file: " << in("log") << "\nlogfile_size_limit: 16777216\nlogfile_max_num: 2\n";
  return text.str();
}

std::filesystem::path configuration_of(const std::filesystem::path& directory) {
  return directory / "nats.conf";
}

result<void> write_server_files(const server_options& options, std::uint16_t port) {
  std::error_code failed;
  fs::create_directories(options.directory, failed);
  if (!failed)
    fs::permissions(options.directory, fs::perms::owner_all, failed);
  if (!failed) {
    // Files of earlier processes would only mislead.
    fs::remove_all(options.directory / "ports", failed);
    fs::create_directories(options.directory / "ports", failed);
  }
  if (failed)
    return fail(errc::unavailable,
                "cannot prepare " + options.directory.string() + ": " + failed.message());
  return replace_file(configuration_of(options.directory), server_configuration(options, port));
}

std::optional<std::uint16_t> read_stored_port(const fs::path& directory) {
  return parse_port(read_file(directory / "port"));
}

result<void> store_port(const fs::path& directory, std::uint16_t port) {
  return replace_file(directory / "port", std::to_string(port));
}

std::optional<std::uint16_t> read_ports_file(const fs::path& directory, int pid) {
  std::error_code failed;
  for (const auto& file : fs::directory_iterator{directory / "ports", failed}) {
    if (file.path().stem().string().find("_" + std::to_string(pid)) == std::string::npos)
      continue;
    const auto ports = nlohmann::json::parse(read_file(file.path()), nullptr, false);
    const auto urls = ports.is_object() ? ports.find("nats") : ports.end();
    if (!ports.is_object() || urls == ports.end() || !urls->is_array() || urls->empty()
        || !urls->front().is_string())
      return std::nullopt; // half written
    const auto url = urls->front().get<std::string>();
    return parse_port(std::string_view{url}.substr(url.rfind(':') + 1));
  }
  return std::nullopt;
}

std::string last_words(const fs::path& directory) {
  constexpr std::size_t enough = 600;
  // Before its log is open the server complains to stderr.
  auto text = read_file(directory / "stderr");
  if (text.empty())
    text = read_file(directory / "log");
  return text.size() > enough ? text.substr(text.size() - enough) : text;
}

result<fs::path> find_binary(const fs::path& name) {
  std::error_code failed;
  const auto usable = [](const fs::path& path) { return access(path.c_str(), X_OK) == 0; };
  if (name.has_parent_path()) {
    if (usable(name))
      return name;
    return fail(errc::not_found, "cannot execute " + name.string());
  }
  const char* path =
    std::getenv("PATH"); // NOLINT(concurrency-mt-unsafe): nothing here sets variables
  std::istringstream folders{std::string{path == nullptr ? "" : path} + ":/usr/sbin:/sbin"};
  for (std::string folder; std::getline(folders, folder, ':');)
    if (!folder.empty() && usable(fs::path{folder} / name))
      return fs::path{folder} / name;
  return fail(errc::not_found, name.string() + " is not installed");
}

} // namespace marchproxy::bus
