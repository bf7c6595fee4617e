// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/server.hpp"

#include "actors/bus/server_files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

namespace marchproxy::bus {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

constexpr auto poll_interval = std::chrono::milliseconds{2};
constexpr auto stop_timeout = std::chrono::seconds{10};

/// Takes the directory's lock. The child inherits it and holds it as long as it lives, so whoever
/// has it knows that no server of an earlier process works on the data any more.
result<int> lock_directory(const fs::path& directory, clock::time_point deadline) {
  const int file = ::open((directory / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0)
    return fail(errc::unavailable, "cannot open the lock in " + directory.string());
  while (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (clock::now() > deadline) {
      ::close(file);
      return fail(errc::unavailable, "another nats-server still uses " + directory.string());
    }
    std::this_thread::sleep_for(10 * poll_interval);
  }
  return file;
}

} // namespace

embedded_server::embedded_server(server_options options)
  : options_{std::move(options)}, parent_{options_.parent ? options_.parent : own_parent()} {}

embedded_server::~embedded_server() {
  stop();
}

result<std::unique_ptr<embedded_server>> embedded_server::start(server_options options) {
  std::unique_ptr<embedded_server> made{new embedded_server{std::move(options)}};
  if (auto launched = made->launch(); !launched)
    return tl::unexpected(launched.error());
  return made;
}

result<void> embedded_server::launch() {
  const auto binary = find_binary(options_.binary);
  if (!binary)
    return tl::unexpected(binary.error());
  std::error_code failed;
  fs::create_directories(options_.directory, failed); // a failure shows at the lock
  const auto lock_file = lock_directory(options_.directory, clock::now() + options_.start_timeout);
  if (!lock_file)
    return tl::unexpected(lock_file.error());
  const auto port =
    options_.port != 0 ? options_.port : read_stored_port(options_.directory).value_or(0);
  if (auto written = write_server_files(options_, port); !written) {
    ::close(*lock_file);
    return written;
  }
  {
    const std::lock_guard lock{mutex_};
    forked_ = false;
  }
  keeper_ = std::thread{[this, path = *binary, file = *lock_file] { keep_child(path, file); }};
  auto ready = wait_until_ready();
  if (!ready)
    stop();
  return ready;
}

/// Runs on a thread of its own for as long as the child lives: PR_SET_PDEATHSIG follows the thread
/// that forked, and the caller's may end at any time.
void embedded_server::keep_child(const fs::path& binary, int lock_file) {
  const auto configuration = configuration_of(options_.directory);
  const int errors =
    ::open((options_.directory / "stderr").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const auto child = parent_->start({binary, configuration, lock_file, errors});
  ::close(lock_file);
  if (errors >= 0)
    ::close(errors);
  {
    const std::lock_guard lock{mutex_};
    pid_ = child;
    forked_ = true;
    changed_.notify_all();
  }
  if (child < 0)
    return;
  // Without reaping: until pid_ is withdrawn, the number must not go to another process.
  parent_->wait();
  const std::lock_guard lock{mutex_};
  pid_ = -1;
  parent_->forget();
  changed_.notify_all();
}

result<void> embedded_server::wait_until_ready() {
  const auto deadline = clock::now() + options_.start_timeout;
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return forked_; });
  while (pid_ >= 0) {
    if (const auto port = read_ports_file(options_.directory, pid_)) {
      port_ = *port;
      return store_port(options_.directory, *port);
    }
    if (clock::now() > deadline)
      return fail(errc::unavailable, "nats-server is not ready in time");
    changed_.wait_for(lock, poll_interval);
  }
  return fail(errc::unavailable, "nats-server ended at once: " + last_words(options_.directory));
}

std::string embedded_server::url() const {
  const auto any = options_.host == "0.0.0.0" || options_.host == "::" || options_.host.empty();
  const auto v6 = options_.host.find(':') != std::string::npos;
  const auto host = any ? "127.0.0.1" : v6 ? "[" + options_.host + "]" : options_.host;
  return "nats://" + host + ":" + std::to_string(port());
}

std::uint16_t embedded_server::port() const {
  const std::lock_guard lock{mutex_};
  return port_;
}

pid_t embedded_server::pid() const {
  const std::lock_guard lock{mutex_};
  return pid_;
}

bool embedded_server::alive() const {
  return pid() >= 0;
}

result<void> embedded_server::restart() {
  stop();
  return launch();
}

void embedded_server::stop() {
  {
    std::unique_lock lock{mutex_};
    if (pid_ >= 0) {
      parent_->signal(SIGTERM);
      if (!changed_.wait_for(lock, stop_timeout, [this] { return pid_ < 0; }))
        parent_->signal(SIGKILL);
    }
  }
  if (keeper_.joinable())
    keeper_.join();
}

} // namespace marchproxy::bus
