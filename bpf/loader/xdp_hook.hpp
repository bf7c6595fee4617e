// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bpf/abi/flow.h"
#include "bpf/loader/interfaces.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

struct bpf_map;
struct mp_xdp;

namespace marchproxy::tier_ebpf {

enum class xdp_mode : std::uint8_t {
  native, ///< in the driver
  generic ///< behind it, on socket buffers
};
[[nodiscard]] std::string_view to_string(xdp_mode mode) noexcept;

/// Defined where the skeleton is included.
struct xdp_object_free {
  void operator()(mp_xdp* object) const noexcept;
};

/// The XDP program. It works on the tc program's maps, so one switch of revisions is for both.
///
/// The kernel keeps a program that was attached by netlink when the process dies. attach() finds
/// ours and replaces it in one step.
class xdp_hook {
public:
  /// @param shared  the tc program's maps by name: those that both have are used by both
  /// @param connections_of_source  as in load_options
  /// @errors unsupported, with what the kernel said
  [[nodiscard]] static result<std::unique_ptr<xdp_hook>>
  load(const std::map<std::string_view, int>& shared, std::uint32_t connections_of_source);
  xdp_hook(const xdp_hook&) = delete;
  xdp_hook& operator=(const xdp_hook&) = delete;
  /// Detaches everywhere.
  ~xdp_hook();

  /// @errors unsupported when the driver has no native mode; conflict when a program that is not
  /// ours is attached; unavailable with the kernel's reason
  [[nodiscard]] result<void> attach(int ifindex, xdp_mode mode);
  [[nodiscard]] result<void> detach(int ifindex);
  [[nodiscard]] const std::map<int, xdp_mode>& attached() const noexcept { return attached_; }
  /// Tells the program which of these take frames. To be called when they change, or every now and
  /// then.
  [[nodiscard]] result<void> follow(const std::vector<interface>& all);

  [[nodiscard]] mp_totals totals() const;
  [[nodiscard]] int program_fd() const noexcept { return program_fd_; }
  /// Of the program for test runs that only judges.
  [[nodiscard]] int judge_fd() const noexcept { return judge_fd_; }

private:
  xdp_hook() = default;

  std::unique_ptr<mp_xdp, xdp_object_free> object_;
  int program_fd_ = -1;
  int judge_fd_ = -1;
  std::uint32_t program_id_ = 0;
  std::map<int, xdp_mode> attached_;
  std::vector<int> targets_; ///< that the program knows, sorted
};

} // namespace marchproxy::tier_ebpf
