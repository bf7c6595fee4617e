// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"

#include <cstdint>
#include <memory>
#include <span>

struct mp_redirect;

namespace marchproxy::af_xdp {

struct redirect_free {
  void operator()(mp_redirect* object) const noexcept;
};

/// The XDP program of one interface that brings its routed packets to AF_XDP sockets.
///
/// After kill -9 it stays attached, and drops what it would have brought to the sockets that are no
/// more: nothing passes unjudged. An orderly end detaches it; the next process replaces it.
class redirect {
public:
  /// @errors unsupported, with what the verifier said
  [[nodiscard]] static result<redirect> load();
  redirect(const redirect&) = delete;
  redirect& operator=(const redirect&) = delete;
  redirect(redirect&&) noexcept = default;
  redirect& operator=(redirect&&) = delete;
  ~redirect();

  /// Native where the driver can, else generic. @errors conflict when another program is attached
  /// there; unavailable
  [[nodiscard]] result<void> attach(int ifindex);
  /// Packets of @p queue go to this AF_XDP socket. @errors unavailable
  [[nodiscard]] result<void> bring(std::uint32_t queue, int socket);
  /// Exactly these addresses are the node's own. @errors unavailable
  [[nodiscard]] result<void> set_own(std::span<const ip_address> own);
  [[nodiscard]] bool native() const noexcept { return native_; }

private:
  explicit redirect(mp_redirect* object) noexcept : object_(object) {}

  std::unique_ptr<mp_redirect, redirect_free> object_;
  int ifindex_ = 0; ///< 0: not attached
  bool native_ = false;
};

} // namespace marchproxy::af_xdp
