// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/tls/certificate.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

// OpenSSL's macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace marchproxy::tls {

namespace {

constexpr std::size_t most_bytes = std::size_t{1024} * 1024;

/// A file's text, which is wiped: it may be a key.
class file_text {
public:
  file_text() = default;
  file_text(file_text&&) = default;
  file_text& operator=(file_text&&) = default;
  ~file_text() { OPENSSL_cleanse(text_.data(), text_.size()); }

  enum class readers : std::uint8_t { any, owner };
  [[nodiscard]] static result<file_text> read(const std::filesystem::path& path, readers may) {
    std::error_code none;
    if (std::filesystem::exists(path, none) && !std::filesystem::is_regular_file(path, none))
      return fail(errc::invalid_argument, path.string() + " is no file");
    const file_ptr file{std::fopen(path.c_str(), "re")};
    struct stat is {};
    if (!file || fstat(fileno(file.get()), &is) != 0)
      return fail(errc::invalid_argument, path.string() + ": " + std::strerror(errno));
    if (static_cast<std::size_t>(is.st_size) > most_bytes)
      return fail(errc::invalid_argument, path.string() + " has more than 1 MiB");
    if (may == readers::owner && (is.st_mode & 077U) != 0)
      return fail(errc::invalid_argument,
                  path.string() + " may be read by others than its owner: set its mode to 0600");
    file_text out;
    out.text_.resize(static_cast<std::size_t>(is.st_size));
    // No buffer of its own, which would keep a part of a key.
    setvbuf(file.get(), nullptr, _IONBF, 0);
    if (std::fread(out.text_.data(), 1, out.text_.size(), file.get()) != out.text_.size())
      return fail(errc::invalid_argument, path.string() + " cannot be read whole");
    return out;
  }
  /// A reader of it, which must not outlive it.
  [[nodiscard]] bio_ptr reader() const {
    return bio_ptr{BIO_new_mem_buf(text_.data(), static_cast<int>(text_.size()))};
  }

private:
  std::vector<char> text_;
};

/// Nobody is asked for a passphrase.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

tl::unexpected<error> malformed(const std::filesystem::path& path, const std::string& why) {
  return fail(errc::invalid_argument, path.string() + ": " + why);
}

/// All certificates in @p in; empty when one is malformed or there is none.
chain_ptr read_chain(BIO& in) {
  chain_ptr out{sk_X509_new_null()};
  while (x509_ptr one{PEM_read_bio_X509(&in, nullptr, no_passphrase, nullptr)})
    sk_X509_push(out.get(), one.release());
  // The end of the file is told as the lack of another beginning.
  const auto end = ERR_peek_last_error();
  const auto whole = ERR_GET_LIB(end) == ERR_LIB_PEM && ERR_GET_REASON(end) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!whole)
    sk_X509_zero(out.get());
  return out;
}

/// Whether OpenSSL would serve with it: the key fits, and neither is too weak.
bool is_usable(const certificate& one) {
  const ssl_ctx_ptr trial{SSL_CTX_new(TLS_server_method())};
  return trial
         && SSL_CTX_use_cert_and_key(trial.get(), one.leaf.get(), one.key.get(), one.chain.get(), 1)
              == 1;
}

} // namespace

result<std::shared_ptr<const certificate>> load_certificate(const std::filesystem::path& directory,
                                                            std::string name) {
  const auto path = directory / (name + ".crt");
  const auto key_path = directory / (name + ".key");
  auto out = std::make_shared<certificate>();
  out->name = std::move(name);
  out->chain = load_authorities(path).value_or(nullptr);
  if (!out->chain)
    return tl::unexpected(load_authorities(path).error());
  out->leaf.reset(sk_X509_shift(out->chain.get()));
  const auto text = file_text::read(key_path, file_text::readers::owner);
  if (!text)
    return tl::unexpected(text.error());
  out->key.reset(PEM_read_bio_PrivateKey(text->reader().get(), nullptr, no_passphrase, nullptr));
  if (!out->key)
    return malformed(key_path, "no private key without a passphrase: " + take_problem());
  if (!is_usable(*out))
    return malformed(path, "cannot be served with its key: " + take_problem());
  for (auto& dns : alternative_names(*out->leaf, GEN_DNS)) {
    std::transform(dns.begin(), dns.end(), dns.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    out->dns_names.push_back(std::move(dns));
  }
  out->not_after = end_of(*out->leaf);
  return out;
}

result<chain_ptr> load_authorities(const std::filesystem::path& file) {
  const auto text = file_text::read(file, file_text::readers::any);
  if (!text)
    return tl::unexpected(text.error());
  auto out = read_chain(*text->reader());
  if (sk_X509_num(out.get()) == 0)
    return malformed(file, "no certificates in PEM, or not whole");
  return out;
}

std::vector<std::string> alternative_names(const X509& of, int kind) {
  std::vector<std::string> out;
  auto* all =
    static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&of, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const auto* one = sk_GENERAL_NAME_value(all, i);
    if (one->type != kind)
      continue;
    const auto* text = one->d.ia5;
    out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  GENERAL_NAMES_free(all);
  return out;
}

time_point end_of(const X509& of) noexcept {
  std::tm at{};
  ASN1_TIME_to_tm(X509_get0_notAfter(&of), &at);
  return time_point{std::chrono::seconds{timegm(&at)}};
}

} // namespace marchproxy::tls
