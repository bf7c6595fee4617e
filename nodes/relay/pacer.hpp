// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/limiting/admission.hpp"
#include "nodes/relay/stream.hpp"

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
  template <class Write>
  [[nodiscard]] io_result pass(const stream& to, std::size_t most, Write write);

  net::event_loop& loop_;
  limiting::admission& admission_;
  net::timer later_;
};

/// @p to.write(), or held to limits by @p by, if there is one.
[[nodiscard]] inline io_result write(stream& to, std::string_view bytes, pacer* by) {
  return by == nullptr ? to.write(bytes) : by->write(to, bytes);
}

} // namespace marchproxy::relay
