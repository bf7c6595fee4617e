// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// A certificate authority and a directory of certificates for tests; nothing of it is kept.

#include "nodes/tls/openssl.hpp"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls::testing {

/// What a certificate is to say.
struct wish {
  std::string common_name = {};
  std::string alternative_names =
    {};                     ///< as openssl.cnf has them: `DNS:a.test,URI:x:y`; empty: none
  long ends_in = 24 * 3600; ///< seconds; negative: it has ended
};

/// A certificate and its key in PEM.
struct issued {
  std::string certificate;
  std::string key;
};

class authority {
public:
  explicit authority(const std::string& name = "test authority")
    : key_(make_key()), own_(sign({name, "", 7 * 24 * 3600}, *key_, true)) {}

  [[nodiscard]] issued issue(const wish& wanted) const {
    const auto key = make_key();
    const auto made = sign(wanted, *key, false);
    return {pem_of([&](BIO* to) { PEM_write_bio_X509(to, made.get()); }), pem_of([&](BIO* to) {
              PEM_write_bio_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
            })};
  }
  [[nodiscard]] std::string pem() const {
    return pem_of([&](BIO* to) { PEM_write_bio_X509(to, own_.get()); });
  }
  [[nodiscard]] X509* certificate() const noexcept { return own_.get(); }

private:
  static key_ptr make_key() { return key_ptr{EVP_EC_gen("P-256")}; }

  template <class Write>
  static std::string pem_of(Write write) {
    const bio_ptr out{BIO_new(BIO_s_mem())};
    write(out.get());
    char* bytes = nullptr;
    const auto size = BIO_get_mem_data(out.get(), &bytes);
    return {bytes, static_cast<std::size_t>(size)};
  }

  static void extend(X509& one, X509& issuer, int kind, const std::string& value) {
    X509V3_CTX context{};
    X509V3_set_ctx(&context, &issuer, &one, nullptr, nullptr, 0);
    auto* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    X509_add_ext(&one, extension, -1);
    X509_EXTENSION_free(extension);
  }

  x509_ptr sign(const wish& wanted, EVP_PKEY& key, bool is_authority) const {
    static std::atomic<long> serial{1};
    x509_ptr out{X509_new()};
    X509_set_version(out.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(out.get()), serial++);
    X509_gmtime_adj(X509_getm_notBefore(out.get()), -7 * 24 * 3600);
    X509_gmtime_adj(X509_getm_notAfter(out.get()), wanted.ends_in);
    auto* name = X509_get_subject_name(out.get());
    if (!wanted.common_name.empty())
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(wanted.common_name.c_str()),
                                 -1, -1, 0);
    auto& issuer = own_ ? *own_ : *out;
    X509_set_issuer_name(out.get(), X509_get_subject_name(&issuer));
    X509_set_pubkey(out.get(), &key);
    extend(*out, issuer, NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!wanted.alternative_names.empty())
      extend(*out, issuer, NID_subject_alt_name, wanted.alternative_names);
    X509_sign(out.get(), key_.get(), EVP_sha256());
    return out;
  }

  key_ptr key_;
  x509_ptr own_;
};

/// A directory that is removed with everything in it.
class scratch {
public:
  scratch() {
    static std::atomic<int> count{0};
    path = std::filesystem::temp_directory_path()
           / ("tls_" + std::to_string(getpid()) + "_" + std::to_string(++count));
    std::filesystem::create_directory(path);
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() { std::filesystem::remove_all(path); }

  /// The whole file at once, as `mv` does it.
  std::filesystem::path
  write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const auto made = path / (name + ".new");
    std::ofstream{made} << text;
    chmod(made.c_str(), mode);
    std::filesystem::rename(made, path / name);
    return path / name;
  }
  void write_pair(const std::string& name, const issued& pair) const {
    write(name + ".key", pair.key);
    write(name + ".crt", pair.certificate);
  }

  std::filesystem::path path;
};

} // namespace marchproxy::tls::testing

#pragma GCC diagnostic pop
