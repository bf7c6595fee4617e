// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/version.hpp"
#include "nodes/netd/process.hpp"
#include "nodes/netd/service.hpp"
#include "nodes/privileges/syscall_filter.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <optional>
#include <thread>

namespace {

using namespace marchproxy;

constexpr const char* help = R"(marchproxy-netd: loads and attaches for a proxy of MarchProxy

It is started by marchproxy-egress and marchproxy-ingress, keeps the capabilities that they give up, and
ends with them; docs/privileges.md says what it does. It takes no settings.
)";

/// @return nothing when they are not what a proxy starts it with
std::optional<netd::tasks> read_tasks(int argc, char** argv) {
  netd::tasks out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word{argv[i]};
    if (word == "packets")
      out.packets = true;
    else if (word == "low-ports")
      out.low_ports = true;
    else if (word == "transparent")
      out.transparent = true;
    else
      return std::nullopt;
  }
  return out.none() ? std::nullopt : std::optional{out};
}

bool is_channel(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int failed(const error& why) {
  std::cerr << "marchproxy-netd: " << to_string(why) << '\n';
  return 1;
}

/// The end of the channel is what ends it, so that the proxy can detach to the last.
void leave_signals_to_the_proxy() {
  for (auto signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
    std::signal(signal, SIG_IGN);
}

int run(const netd::tasks& tasks) {
  leave_signals_to_the_proxy();
  std::optional<netd::packet_service> packets;
  if (tasks.packets) { // what only CAP_SYS_ADMIN is told
    auto by = tier_ebpf::own_installer();
    auto report = by->probe();
    packets.emplace(std::move(by), std::move(report));
  }
  if (auto kept = privileges::keep_only(netd::capabilities_for(tasks)); !kept)
    return failed(kept.error());
  if (auto filtered =
        privileges::install({.writes_files = false, .connects = false, .bpf = tasks.packets});
      !filtered)
    return failed(filtered.error());
  std::jthread beside;
  const auto sockets = [] {
    netd::serve(net::local_channel{net::unique_fd{netd::sockets_descriptor}}, netd::handle_socket);
  };
  if (!packets) {
    sockets();
    return 0;
  }
  if (tasks.low_ports || tasks.transparent)
    beside = std::jthread{sockets};
  netd::serve(
    net::local_channel{net::unique_fd{netd::packets_descriptor}},
    [&](const netd::request& r, net::unique_fd fd) { return packets->handle(r, std::move(fd)); });
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "--version") {
    std::cout << "marchproxy-netd " << version() << '\n';
    return 0;
  }
  const auto tasks = read_tasks(argc, argv);
  const auto wired =
    tasks && (!tasks->packets || is_channel(netd::packets_descriptor))
    && ((!tasks->low_ports && !tasks->transparent) || is_channel(netd::sockets_descriptor));
  if (!wired) {
    (first == "--help" || first == "-h" ? std::cout : std::cerr) << help;
    return first == "--help" || first == "-h" ? 0 : 2;
  }
  return run(*tasks);
}
