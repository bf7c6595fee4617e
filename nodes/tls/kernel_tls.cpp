// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/kernel_tls.hpp"

#include "nodes/tls/openssl.hpp"

#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

// OpenSSL's and the kernel's macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls::kernel_tls {

namespace {

constexpr std::string_view layer = "tls";

bool put_layer(int fd) noexcept {
  return setsockopt(fd, IPPROTO_TCP, TCP_ULP, layer.data(), layer.size()) == 0;
}

} // namespace

bool is_offered() noexcept {
  const auto fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return false;
  // The layer is found before the socket is looked at, which is not connected.
  const auto known = put_layer(fd) || errno == ENOTCONN;
  ::close(fd);
  return known;
}

bool begin_sending(int fd, void* keys) noexcept {
  if (!put_layer(fd))
    return false;
  // OpenSSL knows the form of its keys; a BIO of its own for sockets hands them to the kernel.
  const bio_ptr socket{BIO_new_socket(fd, BIO_NOCLOSE)};
  return socket && BIO_ctrl(socket.get(), take_keys, 1, keys) > 0;
}

ssize_t send_record(int fd, unsigned char content_type, std::string_view bytes) noexcept {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(sizeof content_type)> kind{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = kind.data();
  message.msg_controllen = kind.size();
  auto* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_TLS;
  head->cmsg_type = TLS_SET_RECORD_TYPE;
  head->cmsg_len = CMSG_LEN(sizeof content_type);
  *CMSG_DATA(head) = content_type;
  return sendmsg(fd, &message, MSG_NOSIGNAL);
}

} // namespace marchproxy::tls::kernel_tls
