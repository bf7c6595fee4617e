// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "bpf/loader/descriptor.hpp"

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
  /// Looks, too, what a process before has left at the interface: the kernel says what that is to
  /// CAP_SYS_ADMIN only, which this process may give up before attach().
  /// @errors unsupported, with what the verifier said
  [[nodiscard]] static result<redirect> load(int ifindex);
  redirect(const redirect&) = delete;
  redirect& operator=(const redirect&) = delete;
  redirect(redirect&&) noexcept = default;
  redirect& operator=(redirect&&) = delete;
  ~redirect();

  /// Native where the driver can, else generic. @errors conflict when another program is attached
  /// there; unavailable
  [[nodiscard]] result<void> attach();
  /// Packets of @p queue go to this AF_XDP socket. @errors unavailable
  [[nodiscard]] result<void> bring(std::uint32_t queue, int socket);
  /// Exactly these addresses are the node's own. @errors unavailable
  [[nodiscard]] result<void> set_own(std::span<const ip_address> own);
  [[nodiscard]] bool native() const noexcept { return native_; }

private:
  redirect(mp_redirect* object, int ifindex) noexcept : object_(object), ifindex_(ifindex) {}

  std::unique_ptr<mp_redirect, redirect_free> object_;
  tier_ebpf::descriptor before_; ///< a program of ours that a process before has left
  int ifindex_;
  bool attached_ = false;
  bool native_ = false;
};

} // namespace marchproxy::af_xdp
