// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/peer_identity.hpp"

#include "nodes/tls/certificate.hpp"

#include <openssl/x509v3.h>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls {

namespace {

/// What is no visible ASCII is escaped.
std::string text_of(const X509_NAME& name) {
  const bio_ptr out{BIO_new(BIO_s_mem())};
  X509_NAME_print_ex(out.get(), &name, 0, XN_FLAG_RFC2253);
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

std::vector<std::string> common_names_of(const X509_NAME& name) {
  std::vector<std::string> out;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(&name, NID_commonName, at)) >= 0;) {
    unsigned char* text = nullptr;
    const auto size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(&name, at)));
    if (size < 0)
      continue;
    out.emplace_back(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
    OPENSSL_free(text);
  }
  return out;
}

} // namespace

peer_identity identify(const X509* shown, long verdict) {
  peer_identity out;
  if (shown == nullptr)
    return out;
  const auto& name = *X509_get_subject_name(shown);
  out.subject = text_of(name);
  if (out.subject.size() > most_subject_bytes) {
    out.is = peer_identity::standing::refused;
    out.problem = "its subject is too long";
    out.subject.clear();
    return out;
  }
  out.common_names = common_names_of(name);
  out.dns_names = alternative_names(*shown, GEN_DNS);
  out.uris = alternative_names(*shown, GEN_URI);
  out.not_after = end_of(*shown);
  out.is =
    verdict == X509_V_OK ? peer_identity::standing::trusted : peer_identity::standing::refused;
  if (verdict != X509_V_OK)
    out.problem = X509_verify_cert_error_string(verdict);
  return out;
}

} // namespace marchproxy::tls
