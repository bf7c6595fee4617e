// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// ClientHellos as OpenSSL makes them, and as OpenSSL reads them: the oracle for ours.

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::wire::testing {

using ssl_ctx_ptr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using ssl_ptr = std::unique_ptr<SSL, decltype(&SSL_free)>;

struct hello_wish {
  std::string server_name; ///< empty: none
  std::string alpn;        ///< as on the wire; empty: none
  int max_version = 0;     ///< 0: the newest
};

/// @return the records that OpenSSL's client begins with
inline std::string openssl_hello(const hello_wish& wish) {
  ssl_ctx_ptr context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  if (wish.max_version != 0)
    SSL_CTX_set_max_proto_version(context.get(), wish.max_version);
  ssl_ptr ssl{SSL_new(context.get()), SSL_free};
  auto* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out); // which ssl owns from here on
  if (!wish.server_name.empty())
    SSL_set_tlsext_host_name(ssl.get(), wish.server_name.c_str());
  if (!wish.alpn.empty())
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(wish.alpn.data()),
                        static_cast<unsigned>(wish.alpn.size()));
  SSL_connect(ssl.get()); // gets as far as waiting for the server
  char* bytes = nullptr;
  auto size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

/// What a server of OpenSSL takes for the name in @p bytes; nullopt: it found no hello with one.
inline std::optional<std::string> openssl_server_name(std::string_view bytes) {
  static const ssl_ctx_ptr context = [] {
    ssl_ctx_ptr made{SSL_CTX_new(TLS_server_method()), SSL_CTX_free};
    SSL_CTX_set_tlsext_servername_callback(
      made.get(), +[](SSL* s, int*, void*) -> int {
        auto* found = static_cast<std::optional<std::string>*>(SSL_get_app_data(s));
        if (const auto* name = SSL_get_servername(s, TLSEXT_NAMETYPE_host_name))
          *found = name;
        return SSL_TLSEXT_ERR_ALERT_FATAL; // seen: that is all
      });
    return made;
  }();
  std::optional<std::string> found;
  ssl_ptr ssl{SSL_new(context.get()), SSL_free};
  SSL_set_app_data(ssl.get(), &found);
  auto* in = BIO_new(BIO_s_mem());
  BIO_write(in, bytes.data(), static_cast<int>(bytes.size()));
  SSL_set_bio(ssl.get(), in, BIO_new(BIO_s_mem()));
  SSL_accept(ssl.get());
  return found;
}

/// The same message in records of @p sizes bytes, over and over.
inline std::string in_records(std::string_view record, const std::string& sizes) {
  auto message = record.substr(5);
  std::string out;
  for (std::size_t i = 0; !message.empty(); ++i) {
    auto part = message.substr(0, static_cast<unsigned char>(sizes[i % sizes.size()]));
    out += record.substr(0, 3);
    out += static_cast<char>(part.size() >> 8);
    out += static_cast<char>(part.size() & 0xff);
    out += part;
    message.remove_prefix(part.size());
  }
  return out;
}

/// A big-endian number of @p size bytes.
inline std::size_t number_at(const std::string& bytes, std::size_t at, std::size_t size) {
  std::size_t out = 0;
  for (auto i = at; i < at + size; ++i)
    out = out << 8 | static_cast<unsigned char>(bytes[i]);
  return out;
}

inline void add_at(std::string& bytes, std::size_t at, std::size_t size, std::size_t more) {
  auto value = number_at(bytes, at, size) + more;
  for (auto i = at + size; i-- > at; value >>= 8)
    bytes[i] = static_cast<char>(value & 0xff);
}

/// A hello in one record, with a GREASE ECH extension, as browsers send it.
inline std::string with_feigned_ech(std::string bytes) {
  const std::string extension{"\xfe\x0d\0\x0a\0\0\1\0\1\x2a\0\0\0\0", 14};
  auto at = std::size_t{9} + 2 + 32;     // session id
  at += 1 + number_at(bytes, at, 1);     // cipher suites
  at += 2 + number_at(bytes, at, 2);     // compression methods
  at += 1 + number_at(bytes, at, 1);     // extensions
  add_at(bytes, 3, 2, extension.size()); // of the record
  add_at(bytes, 6, 3, extension.size()); // of the message
  add_at(bytes, at, 2, extension.size());
  return bytes + extension;
}

} // namespace marchproxy::wire::testing

#pragma GCC diagnostic pop
