// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/limiting/admission.hpp"
#include "nodes/relay/stream.hpp"

#include <array>
#include <functional>

namespace marchproxy::relay {

/// Holds the bytes of one flow, both directions together, to its limits: what may not pass yet is
/// not written, so the sender is slowed down and nothing is lost.
class pacer {
public:
  /// @param admission  of the flow; must outlive the pacer
  /// @param again      called when bytes may pass after there were none
  pacer(net::event_loop& loop, limiting::admission& admission, std::function<void()> again);
  pacer(const pacer&) = delete;
  pacer& operator=(const pacer&) = delete;
  ~pacer();

  /// True from a write that had to wait until it may be tried again.
  [[nodiscard]] bool waiting() const noexcept { return later_.armed(); }
  [[nodiscard]] io_result write(stream& to, std::string_view bytes);
  [[nodiscard]] io_result splice(stream& to, splice_pipe& from);

private:
  /// Bytes that a TLS stream has begun to send: it wants just them again, and they are paid for.
  struct pledge {
    const stream* to = nullptr;
    std::size_t bytes = 0;
  };
  template <class Write>
  [[nodiscard]] io_result pass(const stream& to, std::size_t most, Write write);
  [[nodiscard]] pledge* find(const stream* to) noexcept;
  /// What was written of @p paid bytes.
  void settle(const stream& to, std::size_t paid, const io_result& out);

  net::event_loop& loop_;
  limiting::admission& admission_;
  std::array<pledge, 2> pledges_; ///< one for each direction
  net::timer later_;
};

/// @p to.write(), or held to limits by @p by, if there is one.
[[nodiscard]] inline io_result write(stream& to, std::string_view bytes, pacer* by) {
  return by == nullptr ? to.write(bytes) : by->write(to, bytes);
}

} // namespace marchproxy::relay
