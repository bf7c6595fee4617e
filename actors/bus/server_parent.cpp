// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/server_parent.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace marchproxy::bus {
namespace {

class own final : public server_parent {
public:
  [[nodiscard]] pid_t start(const plan& p) override {
    const auto self = getpid();
    child_ = fork();
    if (child_ == 0)
      become_server(p.binary.c_str(), p.configuration.c_str(), p.lock_file, p.errors, self);
    return child_;
  }
  void wait() noexcept override {
    siginfo_t ended{};
    while (waitid(P_PID, static_cast<id_t>(child_), &ended, WEXITED | WNOWAIT) != 0
           && errno == EINTR) {
    }
  }
  void forget() noexcept override {
    while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  void signal(int number) noexcept override { kill(child_, number); }

private:
  pid_t child_ = -1;
};

} // namespace

std::unique_ptr<server_parent> own_parent() {
  return std::make_unique<own>();
}

void become_server(
  const char* binary, const char* configuration, int lock_file, int errors, pid_t parent) {
  // Not SIGTERM: nats-server 2.10 that hears it in the moment it gets ready closes its port and
  // stays, and the next one could not have the directory. What it acknowledged is on disk (sync
  // always).
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) // it died before the line above
    _exit(1);              // NOLINT(concurrency-mt-unsafe): the child has one thread
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  fcntl(lock_file, F_SETFD, 0);
  dup2(errors, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  setpgid(0, 0); // a Ctrl-C at our terminal is ours to handle, in the order we choose
  const char* const arguments[] = {"nats-server", "-c", configuration, nullptr};
  // execv takes pointers to mutable for the sake of C; it does not write.
  execv(binary,
        const_cast<char* const*>(arguments)); // NOLINT(cppcoreguidelines-pro-type-const-cast)
  _exit(127);                                 // NOLINT(concurrency-mt-unsafe)
}

} // namespace marchproxy::bus
