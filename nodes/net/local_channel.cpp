// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/local_channel.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace marchproxy::net {

namespace {

constexpr int backlog = 4;

tl::unexpected<error> failed(const char* what) {
  auto code = errno == ENOENT || errno == ECONNREFUSED ? errc::not_found : errc::unavailable;
  return fail(code, std::string{what} + ": " + std::strerror(errno));
}

result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  const auto& text = path.native();
  if (text.size() >= sizeof out.sun_path)
    return fail(errc::invalid_argument, text + ": longer than the "
                                          + std::to_string(sizeof out.sun_path - 1)
                                          + " bytes that a socket's path may have");
  std::memcpy(out.sun_path, text.data(), text.size());
  return out;
}

unique_fd local_socket() noexcept {
  return unique_fd{socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
}

bool of_this_user(int fd) noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

bool wait_readable(int fd, std::chrono::milliseconds patience) noexcept {
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, static_cast<int>(patience.count())) > 0;
}

std::uint64_t inode_of(const std::filesystem::path& path) noexcept {
  struct stat at {};
  return lstat(path.c_str(), &at) == 0 ? at.st_ino : 0;
}

/// Room for one descriptor beside a message.
union control_room {
  cmsghdr aligned;
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

unique_fd descriptor_in(msghdr& head) noexcept {
  for (auto* c = CMSG_FIRSTHDR(&head); c != nullptr; c = CMSG_NXTHDR(&head, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS
        || c->cmsg_len != CMSG_LEN(sizeof(int)))
      continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return unique_fd{fd};
  }
  return {};
}

} // namespace

result<local_channel> local_channel::connect(const std::filesystem::path& path) {
  auto address = address_of(path);
  if (!address)
    return tl::unexpected(address.error());
  auto fd = local_socket();
  if (!fd
      || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return failed(path.c_str());
  if (!of_this_user(fd.get()))
    return fail(errc::forbidden, path.string() + ": another user's process listens there");
  return local_channel{std::move(fd)};
}

result<void> local_channel::send(std::string_view text, int descriptor) {
  iovec bytes{const_cast<char*>(text.data()), text.size()};
  msghdr head{};
  head.msg_iov = &bytes;
  head.msg_iovlen = 1;
  control_room room{};
  if (descriptor >= 0) {
    head.msg_control = room.bytes.data();
    head.msg_controllen = room.bytes.size();
    auto* c = CMSG_FIRSTHDR(&head);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(c), &descriptor, sizeof descriptor);
  }
  if (sendmsg(fd_.get(), &head, MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
    return failed("sending to the other process");
  return {};
}

result<local_channel::message> local_channel::receive(std::chrono::milliseconds patience) {
  if (!wait_readable(fd_.get(), patience))
    return fail(errc::timeout, "the other process says nothing");
  message out;
  out.text.resize(max_message);
  iovec bytes{out.text.data(), out.text.size()};
  control_room room{};
  msghdr head{};
  head.msg_iov = &bytes;
  head.msg_iovlen = 1;
  head.msg_control = room.bytes.data();
  head.msg_controllen = room.bytes.size();
  auto got = recvmsg(fd_.get(), &head, MSG_CMSG_CLOEXEC);
  if (got < 0)
    return failed("hearing the other process");
  out.descriptor = descriptor_in(head);
  if (got == 0)
    return fail(errc::unavailable, "the other process has ended");
  if ((head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return fail(errc::too_large, "the other process said too much at once");
  out.text.resize(static_cast<std::size_t>(got));
  return out;
}

result<local_listener> local_listener::open(const std::filesystem::path& path) {
  auto address = address_of(path);
  if (!address)
    return tl::unexpected(address.error());
  auto fd = local_socket();
  if (!fd)
    return failed(path.c_str());
  // Made beside it and moved into place, so that nobody meets it with other rights.
  auto fresh = path;
  fresh += ".new";
  auto made = address_of(fresh);
  if (!made)
    return tl::unexpected(made.error());
  unlink(fresh.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&*made), sizeof *made) != 0
      || chmod(fresh.c_str(), S_IRUSR | S_IWUSR) != 0 || listen(fd.get(), backlog) != 0
      || rename(fresh.c_str(), path.c_str()) != 0)
    return failed(path.c_str());
  return local_listener{std::move(fd), path, inode_of(path)};
}

local_listener::~local_listener() {
  if (fd_ && inode_of(path_) == inode_)
    unlink(path_.c_str());
}

std::optional<local_channel> local_listener::accept(std::chrono::milliseconds patience) {
  if (!wait_readable(fd_.get(), patience))
    return std::nullopt;
  unique_fd fd{accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  if (!fd || !of_this_user(fd.get()))
    return std::nullopt;
  return local_channel{std::move(fd)};
}

} // namespace marchproxy::net
