// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/netd/companion.hpp"

#include "nodes/netd/process.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace marchproxy::netd {

namespace {

constexpr auto end_patience = std::chrono::seconds{2};
constexpr auto end_look = std::chrono::milliseconds{5};

struct ends {
  net::unique_fd ours;
  net::unique_fd theirs;
};

result<ends> channel_if(bool wanted) {
  std::array<int, 2> pair{-1, -1};
  if (wanted && ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return fail(errc::unavailable,
                std::string{"a channel to marchproxy-netd: "} + std::strerror(errno));
  return ends{net::unique_fd{pair[0]}, net::unique_fd{pair[1]}};
}

/// In the child. Puts the channels where netd looks for them and gives it just its capabilities.
[[noreturn]] void become_netd(const char* program,
                              char* const* arguments,
                              std::array<int, 2> channels,
                              privileges::capability_set keep) {
  constexpr int out_of_the_way = 16;
  for (auto& fd : channels)
    if (fd >= 0)
      fd = ::fcntl(fd, F_DUPFD, out_of_the_way);
  constexpr std::array places{packets_descriptor, sockets_descriptor};
  for (std::size_t i = 0; i < channels.size(); ++i)
    if (channels[i] >= 0)
      ::dup2(channels[i], places[i]);
    else
      ::close(places[i]);
  ::close_range(sockets_descriptor + 1, ~0U, 0);
  // The environment has the proxy's secrets in it.
  char* const nothing[] = {nullptr};
  if (privileges::pass_on(keep))
    ::execve(program, arguments, &nothing[0]);
  ::_exit(127);
}

} // namespace

privileges::capability_set capabilities_for(const tasks& t) noexcept {
  privileges::capability_set out = 0;
  if (t.packets)
    out |= privileges::of(CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN);
  if (t.low_ports)
    out |= privileges::of(CAP_NET_BIND_SERVICE);
  if (t.transparent)
    out |= privileges::of(CAP_NET_ADMIN);
  return out;
}

tasks possible(const tasks& wanted) noexcept {
  const auto held = privileges::held();
  const auto may = [&](bool asked, const tasks& t) {
    const auto needed = capabilities_for(t);
    return asked && (held & needed) == needed;
  };
  return {.packets = may(wanted.packets, {.packets = true}),
          .low_ports = may(wanted.low_ports, {.low_ports = true}),
          .transparent = may(wanted.transparent, {.transparent = true})};
}

result<std::filesystem::path> find_program() {
  std::error_code failed;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", failed).parent_path();
  const auto beside = folder / "marchproxy-netd";
  const auto built = folder.parent_path() / "netd" / "marchproxy-netd";
  for (const auto& path : {beside, built})
    if (::access(path.c_str(), X_OK) == 0)
      return path;
  return fail(errc::not_found,
              "no program marchproxy-netd at " + beside.string() + " or " + built.string());
}

result<std::unique_ptr<companion>> companion::start(const std::filesystem::path& program,
                                                    const tasks& t) {
  MP_INVARIANT(!t.none());
  auto packets = channel_if(t.packets);
  auto sockets = channel_if(t.low_ports || t.transparent);
  if (!packets || !sockets)
    return tl::unexpected(packets ? sockets.error() : packets.error());
  std::vector<std::string> words{"marchproxy-netd"};
  for (const auto& [asked, word] : words_of(t))
    if (asked)
      words.emplace_back(word);
  std::vector<char*> arguments;
  for (auto& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // CAP_SYS_ADMIN is for what it looks at before it serves, CAP_SETPCAP to give it up for good.
  const auto pass =
    capabilities_for(t) | (t.packets ? privileges::of(CAP_SYS_ADMIN, CAP_SETPCAP) : 0);
  const auto child = ::fork();
  if (child == 0)
    become_netd(program.c_str(), arguments.data(), {packets->theirs.get(), sockets->theirs.get()},
                pass);
  if (child < 0)
    return fail(errc::unavailable, std::string{"marchproxy-netd: "} + std::strerror(errno));
  std::unique_ptr<companion> out{new companion{t, child}};
  packets->theirs.reset();
  sockets->theirs.reset();
  for (auto [channel, to] :
       {std::pair{&packets->ours, &out->packets_}, {&sockets->ours, &out->sockets_}}) {
    if (!*channel)
      continue;
    auto met = remote::meet(net::local_channel{std::move(*channel)});
    if (!met)
      return tl::unexpected(met.error());
    *to = std::move(*met);
  }
  return out;
}

companion::~companion() {
  packets_.reset();
  sockets_.reset();
  const auto until = std::chrono::steady_clock::now() + end_patience;
  while (alive() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(end_look);
}

bool companion::alive() const {
  std::lock_guard hold{lock_};
  if (!ended_)
    ended_ = ::waitpid(pid_, nullptr, WNOHANG) != 0; // it, or an error: it is no child of ours
  return !ended_;
}

} // namespace marchproxy::netd
