// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/pac/files.hpp"

#include "nodes/pac/script.hpp"
#include "nodes/wire/host.hpp"

namespace marchproxy::pac {

namespace {

constexpr std::size_t max_files = 1024; ///< of one revision that are kept

http::response plain(std::uint16_t status, std::string body) {
  return {status, {{"content-type", "text/plain; charset=utf-8"}}, std::move(body)};
}

} // namespace

files::files(proxy_naming naming, policy_in_force current)
  : naming_(std::move(naming)), current_(std::move(current)) {}

http::response files::answer(const http::request& asked) {
  if (asked.path != "/proxy.pac" && asked.path != "/wpad.dat")
    return plain(404, "there are /proxy.pac and /wpad.dat\n");
  if (asked.method != "GET" && asked.method != "HEAD") {
    auto out = plain(405, "GET or HEAD\n");
    out.headers.emplace_back("allow", "GET, HEAD");
    return out;
  }
  auto proxies = proxies_for(asked);
  if (proxies.empty())
    return plain(400, "the Host field must name this proxy\n");
  auto client = parse_ip(asked.peer);
  auto program = current_();
  if (!client || !program)
    return plain(503, "no revision is in force\n");
  return {200,
          {{"content-type", "application/x-ns-proxy-autoconfig"}, {"cache-control", "max-age=60"}},
          file(program, *client, proxies)};
}

std::string files::proxies_for(const http::request& asked) const {
  if (!naming_.proxies.empty())
    return naming_.proxies;
  auto name = asked.header("host");
  auto at = name ? wire::parse_host_port(*name) : std::nullopt;
  return at ? "PROXY " + wire::host_port{at->host, naming_.port}.text() : std::string{};
}

std::string files::file(const std::shared_ptr<const policy::program>& program,
                        const ip_address& client,
                        const std::string& proxies) {
  // Clients of one class have the same sources, so the same mappings.
  auto key = std::to_string(program->source_class(client)) + " " + proxies;
  std::unique_lock lock{mutex_};
  if (of_ != program) {
    made_.clear();
    of_ = program;
  }
  if (auto found = made_.find(key); found != made_.end())
    return found->second;
  lock.unlock();
  auto text = script(program->rules(), client, proxies);
  lock.lock();
  if (of_ == program && made_.size() < max_files)
    made_.emplace(std::move(key), text);
  return text;
}

} // namespace marchproxy::pac
