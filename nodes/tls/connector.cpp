// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/connector.hpp"

#include "nodes/tls/certificate.hpp"

#include <openssl/x509v3.h>

#include <array>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls {

namespace {

/// Names are alternative names (RFC 9525), whole labels.
constexpr unsigned host_flags =
  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
constexpr std::array<unsigned char, 9> offered{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

/// A service at an address: its certificate may have the address, or the service's name.
channel::last_check check_name_or_address(const server_demand& wanted) {
  return [name = wanted.name, address = to_string(*wanted.address)](const SSL& ssl) -> std::string {
    auto* shown = SSL_get0_peer_certificate(&ssl);
    if (X509_check_ip_asc(shown, address.c_str(), 0) == 1
        || (!name.empty()
            && X509_check_host(shown, name.data(), name.size(), host_flags, nullptr) == 1))
      return {};
    return "the certificate has neither the address nor the service's name";
  };
}

} // namespace

result<std::shared_ptr<const connector>> connector::create(const std::filesystem::path& authorities,
                                                           encryption by) {
  std::shared_ptr<connector> out{new connector};
  out->context_.reset(SSL_CTX_new(TLS_client_method()));
  auto* context = out->context_.get();
  if (context == nullptr || !set_common_terms(*context, by))
    return fail(errc::internal, "OpenSSL: " + take_problem());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (authorities.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1)
      return fail(errc::internal, "OpenSSL: " + take_problem());
    return out;
  }
  const auto all = load_authorities(authorities);
  if (!all)
    return tl::unexpected(all.error());
  auto* store = SSL_CTX_get_cert_store(context);
  for (int i = 0; i < sk_X509_num(all->get()); ++i)
    if (X509_STORE_add_cert(store, sk_X509_value(all->get(), i)) != 1)
      return fail(errc::invalid_argument, authorities.string() + ": " + take_problem());
  return out;
}

std::unique_ptr<channel> connector::connect(int fd, const server_demand& wanted) const {
  ssl_ptr made{SSL_new(context_.get())};
  MP_INVARIANT(made != nullptr);
  auto* ssl = made.get();
  SSL_set_connect_state(ssl);
  if (wanted.http)
    SSL_set_alpn_protos(ssl, offered.data(), static_cast<unsigned>(offered.size()));
  if (!wanted.name.empty())
    SSL_set_tlsext_host_name(ssl, wanted.name.c_str());
  if (!wanted.verify)
    return std::make_unique<channel>(std::move(made), fd, std::string{});
  SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  if (wanted.address)
    return std::make_unique<channel>(std::move(made), fd, std::string{},
                                     check_name_or_address(wanted));
  SSL_set_hostflags(ssl, host_flags);
  SSL_set1_host(ssl, wanted.name.c_str());
  return std::make_unique<channel>(std::move(made), fd, std::string{});
}

} // namespace marchproxy::tls
