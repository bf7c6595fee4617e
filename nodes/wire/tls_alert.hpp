// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace marchproxy::wire {

/// RFC 8446 section 6.2, RFC 6066 section 9.
enum class tls_alert : std::uint8_t {
  access_denied = 49,
  decode_error = 50,
  unrecognized_name = 112,
};

/// A record with a fatal alert: what a TLS server may say instead of its ServerHello.
class tls_alert_record {
public:
  explicit constexpr tls_alert_record(tls_alert which) noexcept
    : bytes_{0x15, 0x03, 0x03, 0x00, 0x02, 0x02, static_cast<char>(which)} {}
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), bytes_.size()}; }

private:
  std::array<char, 7> bytes_;
};

} // namespace marchproxy::wire
