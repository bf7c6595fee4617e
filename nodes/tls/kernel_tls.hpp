// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <sys/types.h>

#include <string_view>

namespace marchproxy::tls {

/// Who encrypts what a connection sends.
enum class encryption : unsigned char {
  library,        ///< OpenSSL
  kernel_may_too, ///< the kernel (kTLS), for each connection whose cipher it has; else OpenSSL
};

/// What Linux does for TLS. It is told keys and encrypts by itself, so that what is sent need not
/// pass through the process.
namespace kernel_tls {

// What OpenSSL asks of a BIO (openssl/bio.h has the numbers, and no names for them).
constexpr int take_keys = 72;
constexpr int next_record_type = 74;
constexpr int no_record_type = 75;

/// Whether the kernel does it at all. With CAP_NET_ADMIN its module is loaded, if it is one.
[[nodiscard]] bool is_offered() noexcept;
/// From the next byte on the kernel encrypts what is sent.
/// @param fd    connected, TCP
/// @param keys  as OpenSSL gives them with take_keys
/// @return false: the kernel does not, for this cipher or at all, and nothing has changed
[[nodiscard]] bool begin_sending(int fd, void* keys) noexcept;
/// One record of another kind than application data. @return and errno as send()
[[nodiscard]] ssize_t
send_record(int fd, unsigned char content_type, std::string_view bytes) noexcept;

} // namespace kernel_tls
} // namespace marchproxy::tls
