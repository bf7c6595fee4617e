// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/support/lossy_socket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace marchproxy::test {

namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  std::strncpy(out.sun_path, path.c_str(), sizeof out.sun_path - 1);
  return out;
}

int connect_to(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = address_of(path);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

} // namespace

lossy_socket::lossy_socket(std::string server) : server_(std::move(server)) {
  directory_ = (std::filesystem::temp_directory_path() / "mp-lossy-XXXXXX").string();
  if (mkdtemp(directory_.data()) == nullptr)
    std::abort();
  const auto path = directory_ + "/" + std::filesystem::path(server_).filename().string();
  const auto address = address_of(path);
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0
      || listen(listener_, 8) != 0)
    std::abort();
  acceptor_ = std::jthread([this] { accept_clients(); });
}

lossy_socket::~lossy_socket() {
  stopping_ = true;
  acceptor_.join();
  close(listener_);
  std::filesystem::remove_all(directory_);
}

void lossy_socket::accept_clients() {
  std::vector<std::jthread> relays;
  while (!stopping_) {
    pollfd ready{listener_, POLLIN, 0};
    if (poll(&ready, 1, 20) <= 0)
      continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = connect_to(server_);
    relays.emplace_back([this, client, server] { relay(client, server); });
  }
}

bool lossy_socket::take(loss how) {
  if (!next_.compare_exchange_strong(how, loss::nothing))
    return false;
  ++lost_;
  return true;
}

void lossy_socket::relay(int client, int server) {
  // Our commits are simple queries: 'Q', length, "COMMIT"; they are answered by "COMMIT" as a
  // command tag.
  char bytes[16'384];
  while (!stopping_) {
    pollfd ready[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (poll(ready, 2, 20) <= 0)
      continue;
    const bool from_client = ready[0].revents != 0;
    const auto got = recv(from_client ? client : server, bytes, sizeof bytes, 0);
    if (got <= 0)
      break;
    const std::string_view part(bytes, static_cast<std::size_t>(got));
    if (part.find("COMMIT") != std::string_view::npos
        && take(from_client ? loss::request : loss::answer))
      break;
    if (!send_all(from_client ? server : client, part))
      break;
  }
  close(client);
  close(server);
}

} // namespace marchproxy::test
