// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/machine_use.hpp"

#include <fmt/format.h>

#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>

namespace marchproxy::sriov {

namespace {

namespace fs = std::filesystem;

/// An end of a connection in /proc/net/tcp: `0100007F:1F90`, words in the machine's byte order.
struct tcp_end {
  ip_address address;
  unsigned port = 0;
};

std::optional<std::uint32_t> hex_word(std::string_view text) {
  std::uint32_t out = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return wrong == std::errc{} && end == text.data() + text.size() ? std::optional{out}
                                                                  : std::nullopt;
}

std::optional<tcp_end> parse_end(std::string_view text) {
  const auto colon = text.find(':');
  if (colon != 8 && colon != 32)
    return std::nullopt;
  std::array<std::uint8_t, 16> raw{};
  for (std::size_t at = 0; at < colon; at += 8) {
    const auto word = hex_word(text.substr(at, 8));
    if (!word)
      return std::nullopt;
    for (std::size_t i = 0; i < 4; ++i) // little-endian machines only: x86-64, arm64
      raw[at / 2 + i] = static_cast<std::uint8_t>(*word >> (8 * i));
  }
  const auto port = hex_word(text.substr(colon + 1));
  if (!port)
    return std::nullopt;
  tcp_end out;
  out.port = *port;
  if (colon == 32)
    out.address = ip_address::v6(raw);
  else
    out.address.bytes = raw;
  return out;
}

/// Local ends of established connections, with the port of one of them each.
void read_connections(const std::string& file, std::map<ip_address, unsigned>& out) {
  constexpr std::string_view established = "01";
  std::ifstream in{file};
  std::string line;
  std::getline(in, line); // the head
  std::string number;
  std::string local;
  std::string remote;
  std::string state;
  while (in >> number >> local >> remote >> state && std::getline(in, line))
    if (state == established)
      if (auto end = parse_end(local))
        out.emplace(end->address, end->port);
}

/// What is below @p name joins it, all the way down.
void add_management(machine_use& out,
                    const inventory& what,
                    const std::string& name,
                    const std::string& why) {
  if (!out.management.emplace(name, why).second)
    return;
  const auto* interface = what.interface(name);
  if (interface == nullptr)
    return;
  for (const auto& below : interface->lower)
    add_management(out, what, below, fmt::format("it is below {}: {}", name, why));
}

std::string name_of(const inventory& what, int index) {
  auto found = std::find_if(what.interfaces.begin(), what.interfaces.end(),
                            [&](const auto& i) { return i.index == index; });
  return found == what.interfaces.end() ? "" : found->name;
}

result<void> add_routes(machine_use& out, const inventory& what, netlink_transport& kernel) {
  for (const int family : {AF_INET, AF_INET6}) {
    auto answer = kernel.ask(get_routes(family));
    if (!answer)
      return tl::unexpected(answer.error());
    for (const int index : read_default_routes(*answer))
      if (auto name = name_of(what, index); !name.empty())
        add_management(out, what, name, "a default route goes by it");
  }
  return {};
}

result<void> add_connections(machine_use& out,
                             const inventory& what,
                             const std::vector<std::string>& released,
                             netlink_transport& kernel,
                             const std::string& proc) {
  std::map<ip_address, unsigned> local;
  read_connections(proc + "/net/tcp", local);
  read_connections(proc + "/net/tcp6", local);
  auto answer = kernel.ask(get_addresses());
  if (!answer)
    return tl::unexpected(answer.error());
  for (const auto& [address, index] : read_addresses(*answer)) {
    const auto used = local.find(address);
    const auto name = name_of(what, index);
    if (used == local.end() || name.empty() || name == "lo"
        || std::find(released.begin(), released.end(), name) != released.end())
      continue;
    add_management(out, what, name,
                   "an established connection uses its address " + to_string(address) + ", port "
                     + std::to_string(used->second));
  }
  return {};
}

/// The files of /dev/vfio that processes have open. Processes may go while they are read.
std::set<std::string> read_open_files(const std::string& proc) {
  std::set<std::string> out;
  std::error_code wrong;
  for (fs::directory_iterator process{proc, wrong}, end; !wrong && process != end;
       process.increment(wrong)) {
    const auto name = process->path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos)
      continue;
    std::error_code gone;
    for (fs::directory_iterator file{process->path() / "fd", gone}, last; !gone && file != last;
         file.increment(gone)) {
      std::error_code closed;
      auto to = fs::read_symlink(file->path(), closed).string();
      if (to.starts_with("/dev/vfio/"))
        out.insert(std::move(to));
    }
  }
  return out;
}

} // namespace

result<machine_use> read_use(const inventory& what,
                             const management_options& options,
                             netlink_transport& kernel,
                             const std::string& proc) {
  machine_use out;
  for (const auto& name : options.named) {
    if (what.interface(name) == nullptr)
      return fail(errc::invalid_argument, "management: there is no interface '" + name + "'");
    add_management(out, what, name, "it was named as management");
  }
  if (auto done = add_routes(out, what, kernel); !done)
    return tl::unexpected(done.error());
  if (auto done = add_connections(out, what, options.released, kernel, proc); !done)
    return tl::unexpected(done.error());
  out.open_files = read_open_files(proc);
  return out;
}

result<void> read_settings(inventory& of, netlink_transport& kernel) {
  for (auto& parent : of.functions) {
    const auto* port =
      parent.interfaces.empty() ? nullptr : of.interface(parent.interfaces.front());
    if (port == nullptr)
      continue;
    auto answer = kernel.ask(get_vfs(port->index));
    if (!answer && answer.error().code != errc::refused)
      return tl::unexpected(answer.error());
    if (!answer || read_name(*answer) != port->name)
      continue;
    parent.reachable = true;
    const auto settings = read_vfs(*answer);
    for (auto& function : parent.functions)
      if (auto found = settings.find(function.index); found != settings.end())
        function.settings = found->second;
  }
  return {};
}

} // namespace marchproxy::sriov
