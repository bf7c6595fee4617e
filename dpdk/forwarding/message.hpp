// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace marchproxy::forwarding {

/// A structure copied from the front of @p bytes; none when they are too few.
template <class T>
[[nodiscard]] std::optional<T> front(std::span<const std::byte> bytes) noexcept {
  T out{};
  if (bytes.size() < sizeof out)
    return std::nullopt;
  std::memcpy(&out, bytes.data(), sizeof out);
  return out;
}

/// Calls @p with for each attribute in @p bytes, as (type, payload); ends where a length lies.
template <class With>
void each_attribute(std::span<const std::byte> bytes, With with) {
  while (auto head = front<rtattr>(bytes)) {
    if (head->rta_len < sizeof *head || head->rta_len > bytes.size())
      return;
    with(head->rta_type, bytes.subspan(sizeof *head, head->rta_len - sizeof *head));
    std::size_t step = NLMSG_ALIGN(head->rta_len);
    if (step >= bytes.size())
      return;
    bytes = bytes.subspan(step);
  }
}

/// Calls @p with for each netlink message in @p bytes, as (header, whole message).
template <class With>
void each_message(std::span<const std::byte> bytes, With with) {
  while (auto head = front<nlmsghdr>(bytes)) {
    if (head->nlmsg_len < sizeof *head || head->nlmsg_len > bytes.size())
      return;
    with(*head, bytes.first(head->nlmsg_len));
    std::size_t step = NLMSG_ALIGN(head->nlmsg_len);
    if (step >= bytes.size())
      return;
    bytes = bytes.subspan(step);
  }
}

} // namespace marchproxy::forwarding
