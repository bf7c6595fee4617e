// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/time.hpp"
#include "nodes/tls/openssl.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace marchproxy::tls {

/// Who a client is by its certificate.
struct peer_identity {
  enum class standing : std::uint8_t {
    none,    ///< it showed none
    trusted, ///< a CA of ours vouches for it
    refused, ///< it showed one that nobody vouches for, that has expired, or that cannot be told on
  };
  standing is = standing::none;
  std::string problem; ///< of a refused one, for people
  std::string subject; ///< distinguished name (RFC 4514), visible ASCII and spaces; may be empty
  std::vector<std::string> common_names;
  std::vector<std::string> dns_names; ///< as they stand in it
  std::vector<std::string> uris;
  time_point not_after{};
};

/// Subjects beyond this are refused: what is cut off could make it somebody else's.
constexpr std::size_t most_subject_bytes = 1024;

/// @param shown    the certificate; null: none
/// @param verdict  what verifying it came to: X509_V_OK or another
[[nodiscard]] peer_identity identify(const X509* shown, long verdict);

} // namespace marchproxy::tls
