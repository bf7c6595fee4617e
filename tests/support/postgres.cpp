// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/support/postgres.hpp"

#include <libpq-fe.h>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <vector>

namespace marchproxy::test {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::optional<fs::path> newest_binaries() {
  std::optional<fs::path> best;
  int best_version = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (version > best_version && fs::exists(entry.path() / "bin/postgres")) {
      best_version = version;
      best = entry.path() / "bin";
    }
  }
  return best;
}

/// Whom the server runs as: nobody else unless this is root.
std::optional<passwd> other_user() {
  if (geteuid() != 0)
    return std::nullopt;
  const auto* found = getpwnam("postgres");
  return found != nullptr ? std::optional(*found) : std::nullopt;
}

/// Output goes to @p log; the child dies with its parent.
pid_t spawn(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const auto& one : command)
    arguments.push_back(const_cast<char*>(one.c_str()));
  arguments.push_back(nullptr);
  const auto user = other_user();
  const auto directory = fs::path(log).parent_path().string();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0)
    return child;
  if (user
      && (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
    _exit(126);
  // After setuid, which clears it.
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (getppid() != parent || chdir(directory.c_str()) != 0)
    _exit(126);
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  for (int fd = 3; fd < 256; ++fd)
    close(fd);
  execv(arguments.front(), arguments.data());
  _exit(127);
}

bool succeeds(const std::vector<std::string>& command, const std::string& log) {
  int status = 0;
  const pid_t child = spawn(command, log);
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Memory where there is enough of it: a server's thousand files are made and removed for each test
/// process.
fs::path roomy_directory() {
  std::error_code failed;
  const auto memory = fs::space("/dev/shm", failed);
  if (!failed && memory.available > (std::uintmax_t{1} << 30) && access("/dev/shm", W_OK) == 0)
    return "/dev/shm";
  return fs::temp_directory_path();
}

result<std::string> make_directory() {
  std::string path = (roomy_directory() / "mp-postgres-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr)
    return fail(errc::unavailable, "no temporary directory");
  if (const auto user = other_user(); user && chown(path.c_str(), user->pw_uid, user->pw_gid) != 0)
    return fail(errc::unavailable, "cannot give the directory to user postgres");
  return path;
}

/// Gives @p tree to the server's user.
bool hand_over(const fs::path& tree) {
  const auto user = other_user();
  if (!user)
    return true;
  for (const auto& entry : fs::recursive_directory_iterator(tree))
    if (lchown(entry.path().c_str(), user->pw_uid, user->pw_gid) != 0)
      return false;
  return lchown(tree.c_str(), user->pw_uid, user->pw_gid) == 0;
}

/// Whether child @p process ends within @p time. Leaves it to be waited for.
bool ends_within(pid_t process, std::chrono::milliseconds time) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
  if (fd < 0)
    return true;
  pollfd ended{fd, POLLIN, 0};
  const bool out = poll(&ended, 1, static_cast<int>(time.count())) > 0;
  close(fd);
  return out;
}

/// A fresh cluster in @p data. initdb takes a second, so what it made is kept in the build tree and
/// copied for every test process after the first.
/// @errors unavailable if initdb or copying fails
result<void> make_cluster(const fs::path& binaries, const fs::path& data, const std::string& log) {
  const auto kept = fs::path(MP_POSTGRES_CLUSTERS) / binaries.parent_path().filename();
  std::error_code failed;
  if (fs::exists(kept, failed)) {
    fs::copy(kept, data, fs::copy_options::recursive, failed);
    if (failed || !hand_over(data))
      return fail(errc::unavailable, "cannot copy the cluster " + kept.string());
    return {};
  }
  if (!succeeds({(binaries / "initdb").string(), "-D", data.string(), "-U", "mp", "--auth=trust",
                 "--encoding=UTF8", "--no-locale", "--no-sync"},
                log))
    return fail(errc::unavailable, "initdb failed");
  // Whole or not at all, whoever is first.
  const auto unfinished = kept.string() + "." + std::to_string(getpid());
  fs::create_directories(kept.parent_path(), failed);
  fs::copy(data, unfinished, fs::copy_options::recursive, failed);
  if (!failed)
    fs::rename(unfinished, kept, failed);
  fs::remove_all(unfinished, failed);
  return {};
}

bool ready(const std::string& url) {
  return PQping(url.c_str()) == PQPING_OK;
}

} // namespace

result<std::unique_ptr<postgres_server>> postgres_server::start() {
  const auto binaries = newest_binaries();
  if (!binaries)
    return fail(errc::unsupported, "PostgreSQL is not installed");
  const auto directory = make_directory();
  if (!directory)
    return tl::unexpected(directory.error());
  const auto data = *directory + "/data";
  const auto log = *directory + "/log";
  if (const auto made = make_cluster(*binaries, data, log); !made) {
    fs::remove_all(*directory);
    return tl::unexpected(made.error());
  }
  const pid_t process =
    spawn({(*binaries / "postgres").string(), "-D", data, "-k", *directory, "-c",
           "listen_addresses=", "-c", "max_connections=60", "-c", "shared_buffers=16MB"},
          log);
  std::unique_ptr<postgres_server> out(new postgres_server(*directory, process));
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!ready(out->url_of("postgres"))) {
    if (std::chrono::steady_clock::now() > deadline || ends_within(process, 10ms))
      return fail(errc::unavailable, "PostgreSQL does not start; see " + log);
  }
  return out;
}

postgres_server& postgres_server::shared() {
  static const auto server = start();
  if (!server) {
    std::fprintf(stderr, "%s\n", to_string(server.error()).c_str());
    std::abort();
  }
  return **server;
}

postgres_server::~postgres_server() {
  kill(process_, SIGQUIT); // at once, without a checkpoint: the data goes anyway
  if (!ends_within(process_, 20s))
    kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

std::string postgres_server::url_of(const std::string& database) const {
  return "postgresql:///" + database + "?user=mp&host=" + directory_;
}

std::string postgres_server::by_way_of(const std::string& directory, const std::string& url) const {
  return url.substr(0, url.rfind(directory_)) + directory;
}

std::string postgres_server::new_database() {
  const auto name = "t" + std::to_string(++databases_);
  PGconn* session = PQconnectdb(url_of("postgres").c_str());
  PGresult* made = PQexec(session, ("CREATE DATABASE " + name).c_str());
  if (PQresultStatus(made) != PGRES_COMMAND_OK)
    std::fprintf(stderr, "%s", PQerrorMessage(session));
  PQclear(made);
  PQfinish(session);
  return url_of(name);
}

} // namespace marchproxy::test
