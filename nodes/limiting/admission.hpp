// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/limiting/meter.hpp"

#include <tl/expected.hpp>

#include <array>
#include <string>

namespace marchproxy::limiting {

/// The meters that a flow is under: its mapping's and its destination service's; null: no limits.
using flow_meters = std::array<std::shared_ptr<meter>, 2>;

/// What a flow asks for when it begins.
struct demand {
  bool connection = true; ///< a new one to the destination
  bool request = false;   ///< of HTTP
};

/// Which limit stands in the way.
struct refused {
  subject of;
  limit_kind what = limit_kind::connections;
  duration retry_after{0}; ///< until there is room, if nobody else takes it; 0: not known
};

/// `service.3.requests`.
[[nodiscard]] std::string to_string(const refused& r);

/// That a flow may go on under its limits. While it is there, the flow counts as an open
/// connection. Belongs to one thread; default: nothing is limited.
class admission {
public:
  /// Takes of every limit, or of none.
  [[nodiscard]] static tl::expected<admission, refused>
  admit(const flow_meters& meters, const ip_address& source, demand wanted, clock::time_point now);
  /// For a flow that lives while its limits change: counts as open, over the limit too.
  [[nodiscard]] static admission
  carry_on(const flow_meters& meters, const ip_address& source, clock::time_point now);

  admission() = default;
  admission(admission&& other) noexcept;
  admission& operator=(admission&& other) noexcept;
  ~admission() { end(); }

  /// True when it is under just these.
  [[nodiscard]] bool is_under(const flow_meters& meters) const noexcept;
  /// True when bytes are limited.
  [[nodiscard]] bool paced() const noexcept { return paced_; }
  /// @return how many bytes may pass now, at most @p most; they are taken. 0: wait
  [[nodiscard]] std::uint64_t take_bytes(std::uint64_t most, clock::time_point now) noexcept;
  void give_back_bytes(std::uint64_t bytes) noexcept;
  /// True when packets are limited, or the bytes that are in them.
  [[nodiscard]] bool metered() const noexcept { return metered_; }
  /// A packet of @p bytes, or which limit it is beyond.
  [[nodiscard]] tl::expected<void, refused> take_packet(std::uint64_t bytes,
                                                        clock::time_point now) noexcept;
  /// After take_bytes() gave nothing: when to ask again. Flows that wait for the same limit are
  /// given different times, so that they take turns. Counts as waiting until stop_waiting().
  [[nodiscard]] duration wait_for_bytes(clock::time_point now) noexcept;
  void stop_waiting() noexcept;

private:
  [[nodiscard]] static std::optional<refused>
  enter(const meter::hold& held, demand wanted, clock::time_point now) noexcept;
  [[nodiscard]] static std::optional<refused>
  take_packet_of(const meter::hold& held, std::uint64_t bytes, clock::time_point now) noexcept;
  void add(meter::hold held) noexcept;
  void end() noexcept;

  std::array<meter::hold, 2> holds_; ///< those there are stand first
  bool paced_ = false;
  bool metered_ = false;
  bool waiting_ = false;
};

} // namespace marchproxy::limiting
