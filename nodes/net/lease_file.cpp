// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/lease_file.hpp"

#include "actors/base/durable_file.hpp"
#include "actors/crypto/digest.hpp"
#include "nodes/wire/host.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <utility>

namespace marchproxy::net {

namespace {

constexpr std::string_view first_line = "marchproxy leases 1\n";
constexpr std::string_view seal = "sha256 ";

/// What stands before @p mark, which is taken off too; nothing when it is not there.
std::optional<std::string_view> take_until(std::string_view& text, char mark) {
  auto end = text.find(mark);
  if (end == std::string_view::npos)
    return std::nullopt;
  auto out = text.substr(0, end);
  text.remove_prefix(end + 1);
  return out;
}

std::optional<std::vector<ip_address>> read_addresses(std::string_view text) {
  std::vector<ip_address> out;
  while (out.size() < lease::most_addresses) {
    auto comma = text.find(',');
    auto address = parse_ip(text.substr(0, comma));
    if (!address)
      return std::nullopt;
    out.push_back(*address);
    if (comma == std::string_view::npos)
      return out;
    text.remove_prefix(comma + 1);
  }
  return std::nullopt;
}

/// @return what is wrong with the line, or nothing
const char* read_line(std::string_view line, named_lease& out) {
  auto name = take_until(line, ' ');
  auto ends = take_until(line, ' ');
  if (!name || !ends)
    return "a lease is a name, its end and its addresses";
  auto host = wire::host::parse(*name);
  if (!host || host->name() != *name)
    return "no host name in lower case";
  auto at = parse_time(*ends);
  if (!at)
    return "no time";
  auto addresses = read_addresses(line);
  if (!addresses)
    return "not 1 to 64 addresses";
  out.name = *name;
  out.what.ends = *at;
  out.what.addresses = std::move(*addresses);
  return nullptr;
}

} // namespace

std::string write_leases(const std::vector<named_lease>& leases) {
  std::string out{first_line};
  for (const auto& [name, what] : leases) {
    out += name + ' ' + format_time(what.ends);
    auto mark = ' ';
    for (const auto& address : what.addresses) {
      out += mark + to_string(address);
      mark = ',';
    }
    out += '\n';
  }
  return out + std::string{seal} + crypto::sha256_hex(out) + '\n';
}

result<std::vector<named_lease>> read_leases(std::string_view text) {
  auto damaged = [](std::size_t line, const char* what) {
    return fail(errc::corrupt, "line " + std::to_string(line) + ": " + what);
  };
  if (!text.starts_with(first_line))
    return damaged(1, "not a file of leases");
  const auto end = text.rfind(std::string{'\n'} + std::string{seal});
  if (end == std::string_view::npos)
    return damaged(1, "no checksum");
  const auto body = text.substr(0, end + 1);
  if (text.substr(body.size()) != std::string{seal} + crypto::sha256_hex(body) + '\n')
    return damaged(1, "the checksum does not hold");
  std::vector<named_lease> out;
  std::unordered_set<std::string_view> names;
  auto rest = body.substr(first_line.size());
  for (std::size_t line = 2; !rest.empty(); ++line) {
    named_lease one;
    auto written = *take_until(rest, '\n'); // the body ends in one
    if (const auto* problem = read_line(written, one); problem != nullptr)
      return damaged(line, problem);
    if (!names.insert(written.substr(0, one.name.size())).second)
      return damaged(line, "a name that stands above");
    out.push_back(std::move(one));
  }
  return out;
}

lease_file::lease_file(std::shared_ptr<lease_store> store,
                       std::filesystem::path path,
                       problem_sink problem,
                       std::chrono::milliseconds pause)
  : store_(std::move(store)), path_(std::move(path)), problem_(std::move(problem)), pause_(pause) {
  read();
  thread_ = std::jthread{[this](const std::stop_token& stop) { follow(stop); }};
}

lease_file::~lease_file() {
  if (!thread_.joinable())
    return;
  let_go();
  if (store_->changes() != written_)
    write();
}

void lease_file::let_go() {
  thread_.request_stop();
  if (thread_.joinable())
    thread_.join();
}

void lease_file::read() {
  auto text = read_file(path_);
  if (!text)
    return;
  auto kept = read_leases(*text);
  if (!kept)
    return problem_(path_.string() + ": " + to_string(kept.error()) + "; its leases are not used");
  store_->restore(*kept, clock::now(), wall_now());
}

void lease_file::write() {
  const auto changes = store_->changes();
  auto done = replace_file(path_, write_leases(store_->take_stock(clock::now())));
  if (!done && !std::exchange(failing_, true))
    problem_(to_string(done.error())
             + "; leases are not kept over a restart until it can be "
               "written");
  failing_ = !done;
  written_ = changes;
}

void lease_file::follow(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any pause;
  while (!stop.stop_requested()) {
    if (store_->wait_for_change(written_, stop) == written_)
      return;
    write();
    std::unique_lock lock{mutex};
    pause.wait_for(lock, stop, pause_, [] { return false; });
  }
}

} // namespace marchproxy::net
