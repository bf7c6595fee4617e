// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/file_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace marchproxy::tls {

result<std::unique_ptr<file_watch>>
file_watch::start(const std::vector<std::filesystem::path>& directories,
                  std::function<void()> changed) {
  file_ptr events{fdopen(inotify_init1(IN_NONBLOCK | IN_CLOEXEC), "r")};
  file_ptr stop{fdopen(eventfd(0, EFD_CLOEXEC), "w")};
  if (!events || !stop)
    return fail(errc::unavailable, std::string{"inotify: "} + std::strerror(errno));
  for (const auto& one : directories)
    if (inotify_add_watch(fileno(events.get()), one.c_str(),
                          IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR)
        < 0)
      return fail(errc::unavailable, one.string() + ": " + std::strerror(errno));
  return std::unique_ptr<file_watch>{
    new file_watch{std::move(events), std::move(stop), std::move(changed)}};
}

file_watch::file_watch(file_ptr events, file_ptr stop, std::function<void()> changed)
  : events_(std::move(events)),
    stop_(std::move(stop)),
    changed_(std::move(changed)),
    thread_([this] { watch(); }) {}

file_watch::~file_watch() {
  const std::uint64_t one = 1;
  while (write(fileno(stop_.get()), &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
}

void file_watch::watch() {
  std::array<char, 4096> told;
  auto limit = look_anyway;
  for (;;) {
    std::array<pollfd, 2> both{
      {{fileno(events_.get()), POLLIN, 0}, {fileno(stop_.get()), POLLIN, 0}}};
    const auto ready = poll(both.data(), both.size(), static_cast<int>(limit.count()));
    if (ready < 0)
      continue;
    if (both[1].revents != 0)
      return;
    if (ready > 0) {
      // What it says does not matter: everything is looked at once it is quiet.
      while (read(fileno(events_.get()), told.data(), told.size()) > 0) {
      }
      limit = settle;
      continue;
    }
    limit = look_anyway;
    changed_();
  }
}

} // namespace marchproxy::tls
