// SPDX-License-Identifier: AGPL-3.0-only
// A client's certificate, in DER, as it is told to routes and backends.
#include "actors/base/error.hpp"
#include "nodes/tls/peer_identity.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

using namespace marchproxy;

/// Whatever is in it, its subject is a header's value: visible ASCII and spaces within bounds.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* at = data;
  const tls::x509_ptr shown{d2i_X509(nullptr, &at, static_cast<long>(size))};
  const auto trusted = tls::identify(shown.get(), X509_V_OK);
  const auto refused = tls::identify(shown.get(), X509_V_ERR_CERT_HAS_EXPIRED);
  if (!shown) {
    MP_INVARIANT(trusted.is == tls::peer_identity::standing::none);
    return 0;
  }
  MP_INVARIANT(refused.is == tls::peer_identity::standing::refused && !refused.problem.empty());
  MP_INVARIANT(trusted.problem.empty() == (trusted.is == tls::peer_identity::standing::trusted));
  MP_INVARIANT(trusted.subject.size() <= tls::most_subject_bytes);
  MP_INVARIANT(std::all_of(trusted.subject.begin(), trusted.subject.end(),
                           [](char c) { return c >= ' ' && c < 0x7f; }));
  return 0;
}
