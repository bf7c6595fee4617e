// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bpf/abi/flow.h"
#include "bpf/loader/installer.hpp"
#include "bpf/loader/interfaces.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

namespace marchproxy::tier_ebpf {

[[nodiscard]] std::string_view to_string(xdp_mode mode) noexcept;

/// The XDP program. It works on the tc program's maps, so one switch of revisions is for both.
///
/// The kernel keeps a program that was attached by netlink when the process dies. attach() finds
/// ours and replaces it in one step.
class xdp_hook {
public:
  /// @param by  has loaded the tc program
  /// @errors unsupported, with what the kernel said
  [[nodiscard]] static result<std::unique_ptr<xdp_hook>> load(std::shared_ptr<installer> by);
  xdp_hook(const xdp_hook&) = delete;
  xdp_hook& operator=(const xdp_hook&) = delete;
  /// Detaches everywhere.
  ~xdp_hook();

  /// @errors as installer::attach_xdp
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

  std::shared_ptr<installer> by_;
  loaded_object object_;
  int program_fd_ = -1;
  int judge_fd_ = -1;
  std::map<int, xdp_mode> attached_;
  std::vector<int> targets_; ///< that the program knows, sorted
};

} // namespace marchproxy::tier_ebpf
