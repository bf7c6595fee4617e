// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/server_parent.hpp"
#include "nodes/privileges/capabilities.hpp"
#include "nodes/privileges/syscall_filter.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace marchproxy::bus {
namespace {

/// What goes over the channel, one a message.
struct word {
  enum class kind : std::uint32_t { start, signal, started, ended } what = kind::start;
  std::int32_t number = 0; ///< a signal; the child
};
constexpr std::size_t descriptors = 2; ///< that go with start: lock, output

union control_room {
  cmsghdr aligned;
  std::array<char, CMSG_SPACE(descriptors * sizeof(int))> bytes;
};

bool say(int channel, const word& w, const int* fds = nullptr) noexcept {
  iovec bytes{const_cast<word*>(&w), sizeof w};
  msghdr head{};
  head.msg_iov = &bytes;
  head.msg_iovlen = 1;
  control_room room{};
  if (fds != nullptr) {
    head.msg_control = room.bytes.data();
    head.msg_controllen = room.bytes.size();
    auto* c = CMSG_FIRSTHDR(&head);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds, descriptors * sizeof(int));
  }
  return sendmsg(channel, &head, MSG_NOSIGNAL) == sizeof w;
}

/// @return false when the other side is gone
bool hear(int channel, word& w, std::array<int, descriptors>& fds) noexcept {
  iovec bytes{&w, sizeof w};
  msghdr head{};
  head.msg_iov = &bytes;
  head.msg_iovlen = 1;
  control_room room{};
  head.msg_control = room.bytes.data();
  head.msg_controllen = room.bytes.size();
  ssize_t got = -1;
  do
    got = recvmsg(channel, &head, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (auto* c = CMSG_FIRSTHDR(&head);
      c != nullptr && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fds))
    std::memcpy(fds.data(), CMSG_DATA(c), sizeof fds);
  return got == sizeof w;
}

/// The process that was forked off: one thread, until the channel ends.
class launcher {
public:
  launcher(int channel, const char* binary, const char* configuration) noexcept
    : channel_(channel), binary_(binary), configuration_(configuration) {}

  void run() noexcept {
    while (true) {
      std::array<pollfd, 2> both{{{channel_, POLLIN, 0}, {ended_, POLLIN, 0}}};
      if (poll(both.data(), both.size(), -1) < 0 && errno != EINTR)
        return;
      if (both[1].revents != 0)
        tell_end();
      if (both[0].revents != 0 && !obey())
        return; // the child is told by the kernel (become_server)
    }
  }

private:
  bool obey() noexcept {
    word asked;
    std::array<int, descriptors> fds{-1, -1};
    if (!hear(channel_, asked, fds))
      return false;
    if (asked.what == word::kind::start && child_ < 0)
      start(fds);
    else if (asked.what == word::kind::signal && child_ > 0
             && (asked.number == SIGTERM || asked.number == SIGKILL))
      kill(child_, asked.number);
    for (auto fd : fds)
      if (fd >= 0)
        close(fd);
    return true;
  }

  void start(const std::array<int, descriptors>& fds) noexcept {
    const auto self = getpid();
    child_ = fork();
    if (child_ == 0)
      become_server(binary_, configuration_, fds[0], fds[1], self);
    if (child_ > 0)
      ended_ = static_cast<int>(syscall(SYS_pidfd_open, child_, 0));
    say(channel_, {word::kind::started, child_});
  }

  void tell_end() noexcept {
    while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
    close(std::exchange(ended_, -1));
    say(channel_, {word::kind::ended, std::exchange(child_, -1)});
  }

  int channel_;
  const char* binary_;
  const char* configuration_;
  pid_t child_ = -1;
  int ended_ = -1; ///< readable when the child has ended
};

class forked final : public server_parent {
public:
  forked(int channel,
         pid_t process,
         std::filesystem::path binary,
         std::filesystem::path configuration)
    : channel_(channel),
      process_(process),
      binary_(std::move(binary)),
      configuration_(std::move(configuration)) {}
  ~forked() override {
    close(channel_);
    while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  [[nodiscard]] pid_t start(const plan& p) override {
    MP_INVARIANT(p.binary == binary_ && p.configuration == configuration_);
    const std::array<int, descriptors> fds{p.lock_file, p.errors};
    if (!say(channel_, {word::kind::start, 0}, fds.data()))
      return -1;
    return hear_of(word::kind::started);
  }
  void wait() noexcept override { hear_of(word::kind::ended); }
  void forget() noexcept override {}
  void signal(int number) noexcept override { say(channel_, {word::kind::signal, number}); }

private:
  /// @return -1 when the launcher is gone
  pid_t hear_of(word::kind what) noexcept {
    word said;
    std::array<int, descriptors> none{};
    while (hear(channel_, said, none))
      if (said.what == what)
        return said.number;
    return -1;
  }

  int channel_;
  pid_t process_;
  std::filesystem::path binary_;
  std::filesystem::path configuration_;
};

/// The server inherits what is given up here.
bool give_up(bool low_port) noexcept {
  const auto keep = low_port ? privileges::of(CAP_NET_BIND_SERVICE) : 0;
  return privileges::pass_on(keep) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
         && privileges::install({.children = true, .what_is_unknown = true});
}

} // namespace

result<std::unique_ptr<server_parent>> fork_parent(const std::filesystem::path& binary,
                                                   const std::filesystem::path& configuration,
                                                   bool low_port) {
  std::array<int, 2> pair{-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return fail(errc::unavailable,
                std::string{"a channel to who starts nats-server: "} + std::strerror(errno));
  const auto child = fork();
  if (child == 0) {
    close(pair[0]);
    for (auto number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) // it ends with the other process
      std::signal(number, SIG_IGN);
    if (give_up(low_port))
      launcher{pair[1], binary.c_str(), configuration.c_str()}.run();
    _exit(0); // NOLINT(concurrency-mt-unsafe): it has one thread
  }
  close(pair[1]);
  if (child < 0) {
    close(pair[0]);
    return fail(errc::unavailable, std::string{"who starts nats-server: "} + std::strerror(errno));
  }
  return std::make_unique<forked>(pair[0], child, binary, configuration);
}

} // namespace marchproxy::bus
