// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "bpf/loader/descriptor.hpp"
#include "bpf/loader/probe.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace marchproxy::tier_ebpf {

struct load_options {
  /// Entries of the table of confirmed connections (both ends have spoken); the least recently used
  /// go first. A table for those that begin has a quarter.
  std::uint32_t connections = 262'144;
  /// Confirmed ones that one source, of IPv6 one /64, may hold: beyond it opens none. About.
  std::uint32_t connections_of_source = 65'536;
  /// The programs send packets of connections in the table on by themselves, past the kernel's
  /// routing and netfilter, wherever they are attached.
  bool forwards = false;
};

enum class xdp_mode : std::uint8_t {
  native, ///< in the driver
  generic ///< behind it, on socket buffers
};

/// Programs and maps of bpf/prog in the kernel, by the names that they have there.
struct loaded_object {
  using by_name = std::map<std::string, descriptor, std::less<>>;
  by_name programs;
  by_name maps;

  /// -1 when there is none of that name.
  [[nodiscard]] int program(std::string_view name) const noexcept { return in(programs, name); }
  [[nodiscard]] int map(std::string_view name) const noexcept { return in(maps, name); }

private:
  static int in(const by_name& all, std::string_view name) noexcept {
    auto found = all.find(name);
    return found == all.end() ? -1 : found->second.get();
  }
};

/// All of the tier that takes capabilities: loading programs, making maps, attaching. What goes on
/// from there works by descriptors, for which the kernel asks no capability.
///
/// Threads: one call at a time.
class installer {
public:
  installer() = default;
  installer(const installer&) = delete;
  installer& operator=(const installer&) = delete;
  virtual ~installer() = default;

  /// What this kernel and the installer's rights offer.
  [[nodiscard]] virtual probe_report probe() = 0;
  /// Loads the tc programs. Once. @errors unsupported, with what libbpf and the verifier said
  [[nodiscard]] virtual result<loaded_object> load_tc(const load_options& options) = 0;
  /// Loads the XDP programs, on the maps of the tc programs except its totals. Once, after those.
  /// @errors unsupported, with what libbpf and the verifier said
  [[nodiscard]] virtual result<loaded_object> load_xdp() = 0;
  /// A map that holds @p image, and that nothing writes to any more.
  /// @param image  whole pages
  /// @errors unavailable when the kernel gives no memory
  [[nodiscard]] virtual result<descriptor> make_image(std::span<const std::byte> image) = 0;
  /// A map of counters for MP_BLOCK_MAPPINGS mappings. @errors unavailable
  [[nodiscard]] virtual result<descriptor> make_counter_block() = 0;

  /// @errors as attach_filter() and detach_filter()
  [[nodiscard]] virtual result<void> attach_tc(int ifindex) = 0;
  [[nodiscard]] virtual result<void> detach_tc(int ifindex) = 0;
  /// @errors unsupported when the driver has no native mode; conflict when a program that is not
  /// ours is attached; unavailable with the kernel's reason
  [[nodiscard]] virtual result<void> attach_xdp(int ifindex, xdp_mode mode) = 0;
  /// Removes it if it is still the one that this installer attached.
  [[nodiscard]] virtual result<void> detach_xdp(int ifindex, xdp_mode mode) = 0;
  /// Removes an XDP program of ours that a process before has left at the interface, and which
  /// would go on judging by what that process knew.
  [[nodiscard]] virtual result<void> clear_xdp(int ifindex) = 0;
};

/// By the capabilities of this process: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN. Programs of XDP
/// that a process before has left are recognised by CAP_SYS_ADMIN, which it takes while it is made,
/// or when they are met.
[[nodiscard]] std::unique_ptr<installer> own_installer();

} // namespace marchproxy::tier_ebpf
