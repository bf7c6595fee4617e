// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/strong_id.hpp"
#include "actors/policy/program.hpp"
#include "bpf/loader/installer.hpp"
#include "bpf/loader/limit_meters.hpp"
#include "bpf/loader/traffic.hpp"
#include "bpf/loader/xdp_hook.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace marchproxy::tier_ebpf {

/// What a sweep of the connection tables found.
struct sweep_report {
  std::size_t connections = 0; ///< that stay
  std::size_t removed = 0;     ///< that were over
};

/// What the program did with a frame of a test run.
struct run_outcome {
  bool passed = false;              ///< it, or the answer that took its place
  std::chrono::nanoseconds each{0}; ///< mean time of one run
  std::vector<std::byte> frame;     ///< as it left the tc program; of one run
};

/// Down to the map entry, why a routed flow gets its verdict (POL-9). Read from the kernel's own
/// maps.
struct lookup_trace {
  policy::verdict verdict;
  std::uint32_t image_map = 0; ///< kernel id of the map that holds the image in force
  std::uint32_t source_class = 0;
  std::uint32_t fan = 0;             ///< ref of what the destination leads to
  std::uint32_t group = 0;           ///< which of its lists protocol and port choose
  std::optional<std::uint32_t> rank; ///< of the deciding rule; none: implicit deny
  std::uint32_t page = 0;            ///< key of the map entry that holds the rule
  std::uint32_t offset = 0;          ///< where in its 4,096 bytes
  std::string entry;                 ///< the rule's 16 bytes in hex
};

/// The kernel fast path: a tc program that judges routed packets, and the maps it judges by.
///
/// Lifetime: nothing is pinned. The destructor detaches. After kill -9 the filters stay and judge
/// by the last committed revision; the next process loads, prepares and commits, and then attach()
/// replaces them in one step.
///
/// Threads: load, prepare, commit, abort, attach, detach, refresh_addresses and drain_events from
/// one thread at a time; the const functions from any. attach, detach and refresh_addresses act on
/// the calling thread's network namespace.
class tier {
public:
  /// @errors unsupported, with what libbpf and the verifier said
  [[nodiscard]] static result<std::unique_ptr<tier>> load(const load_options& options = {});
  /// By the rights of somebody else. @param by  not null
  [[nodiscard]] static result<std::unique_ptr<tier>> load(const load_options& options,
                                                          std::shared_ptr<installer> by);

  tier(const tier&) = delete;
  tier& operator=(const tier&) = delete;
  ~tier();

  // Revisions. Until the first commit every routed packet is dropped and counted as no_image.

  /// Makes, fills, verifies and freezes the kernel's copy of the image and makes the counters of
  /// its mappings. What judges traffic does not change. A second prepare replaces the first.
  /// @errors unavailable, corrupt; too_large for a mapping id beyond 32 bits
  [[nodiscard]] result<void> prepare(const std::shared_ptr<const policy::program>& program);
  /// One map update: packets from then on are judged by the prepared image alone (ACC-7). It
  /// returns when no packet is judged by the old one any more.
  /// @errors refused when nothing is prepared; unavailable: then the old revision is still in force
  [[nodiscard]] result<void> commit();
  void abort() noexcept;
  /// The program in force; null before the first commit.
  [[nodiscard]] std::shared_ptr<const policy::program> active() const;

  // Interfaces.

  /// Judges what arrives at an Ethernet interface. Does nothing when it is attached already.
  /// @errors see attachment.hpp
  [[nodiscard]] result<void> attach(int ifindex);
  [[nodiscard]] result<void> detach(int ifindex);
  /// For an interface where the tc program is to judge alone: removes an XDP program of ours that a
  /// process before has left there.
  [[nodiscard]] result<void> clear_xdp(int ifindex);
  [[nodiscard]] std::vector<int> attached() const;
  /// Loads the XDP program beside the tc program, for interfaces that this one is attached to.
  /// @errors unsupported, with what the kernel said
  [[nodiscard]] result<void> load_xdp();
  /// Null before load_xdp().
  [[nodiscard]] xdp_hook* xdp() noexcept;
  [[nodiscard]] const xdp_hook* xdp() const noexcept;
  /// Reads the node's addresses anew: packets to them are left to the stack. To be called before
  /// attach and when addresses change (RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR), or every now and
  /// then. It also reads what the interfaces can do.
  [[nodiscard]] result<void> refresh_addresses();

  // What it sees.

  [[nodiscard]] mp_totals totals() const;
  /// Counters of the active mappings of the program in force, those at 0 too.
  [[nodiscard]] std::unordered_map<mapping_id, mp_mapping_counters> mapping_counters() const;
  /// What the limits of the program in force stopped, those that stopped nothing too.
  [[nodiscard]] std::vector<limited_count> limited() const;
  /// Removes the connections that are over from the tables and counts anew what each source holds,
  /// and what is open under limits.
  /// To be called every now and then, from any thread.
  sweep_report sweep() const;
  /// Entries of the connection tables, at most @p limit, in no order.
  [[nodiscard]] std::vector<connection> connections(std::size_t limit) const;
  /// Hands over at most @p limit events. @return how many
  std::size_t drain_events(const std::function<void(const flow_event&)>& to, std::size_t limit);
  /// Readable when events wait.
  [[nodiscard]] int event_fd() const noexcept;

  // Asking it. None of these touches counters, except run().

  /// A word that says which limits hold for a routed flow (mp_limits_word), as judge().
  [[nodiscard]] result<std::uint32_t> limits_word(const policy::flow& flow) const;
  /// The verdict for a routed flow, by the kernel's program and the image in force. 5 to 10 us when
  /// the machine is quiet.
  /// @errors invalid_argument for a flow that no packet can be of; unavailable when no revision is
  /// in force
  [[nodiscard]] result<policy::verdict> judge(const policy::flow& flow) const;
  /// Likewise, by the XDP program.
  [[nodiscard]] result<policy::verdict> judge_xdp(const policy::flow& flow) const;
  enum class hook : std::uint8_t { tc, xdp };
  struct frame_verdict {
    std::string_view outcome; ///< as in mp_totals; `allowed` and `denied_` come with a verdict
    policy::verdict verdict;
  };
  /// What a hook's program reads of a frame of at most 2,048 bytes, and its verdict as for the
  /// first packet of a connection: tables, counters and local addresses are left out.
  [[nodiscard]] result<frame_verdict> judge_frame(hook at, std::span<const std::byte> frame) const;
  /// Mean time of the program for the first packet of a flow, table and counters left out.
  [[nodiscard]] result<std::chrono::nanoseconds> judge_cost(const policy::flow& flow,
                                                            std::uint32_t repeat) const;
  [[nodiscard]] result<lookup_trace> explain(const policy::flow& flow) const;
  /// The entry of a connection, whichever direction is given.
  [[nodiscard]] std::optional<connection> find(const five_tuple& tuple) const;
  /// A frame through the very program that is attached, counters and table included.
  [[nodiscard]] result<run_outcome> run(std::span<const std::byte> frame,
                                        std::uint32_t repeat = 1) const;
  /// Likewise, through the XDP program: it passes what it hands on or forwards.
  [[nodiscard]] result<run_outcome> run_xdp(std::span<const std::byte> frame,
                                            std::uint32_t repeat = 1) const;

  /// Descriptors of the kernel's objects, for whoever holds no capabilities, and for tests.
  struct descriptors {
    int program = -1;
    int images = -1;
    int flows = -1;
    int openings = -1;
  };
  [[nodiscard]] descriptors fds() const noexcept;

private:
  struct state;
  explicit tier(std::unique_ptr<state> s);

  std::unique_ptr<state> state_;
};

} // namespace marchproxy::tier_ebpf
