// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/time.hpp"
#include "nodes/tls/openssl.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace marchproxy::tls {

/// A server's certificate with its chain and its key. Immutable; threads may share it.
struct certificate {
  std::string name; ///< of its files, without their endings
  x509_ptr leaf;
  chain_ptr chain; ///< what is above the leaf
  key_ptr key;
  std::vector<std::string> dns_names; ///< subject alternative names, lower case
  time_point not_after{};
};

/// Reads NAME.crt (PEM: the leaf, then what is above it) and NAME.key (PEM, without a passphrase).
/// @errors invalid_argument when a file is missing, too long or malformed, when the key may be read
/// by others than its owner, or when the two do not belong together
[[nodiscard]] result<std::shared_ptr<const certificate>>
load_certificate(const std::filesystem::path& directory, std::string name);

/// All certificates of a PEM file, for others to be verified by.
/// @errors invalid_argument when the file is missing, too long, malformed, or has none
[[nodiscard]] result<chain_ptr> load_authorities(const std::filesystem::path& file);

/// Subject alternative names of one kind (GEN_DNS, GEN_URI) as they stand in the certificate.
[[nodiscard]] std::vector<std::string> alternative_names(const X509& of, int kind);
[[nodiscard]] time_point end_of(const X509& of) noexcept;

} // namespace marchproxy::tls
