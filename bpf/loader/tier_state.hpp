// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/loader/counter_entries.hpp"
#include "bpf/loader/image_map.hpp"
#include "bpf/loader/limit_meters.hpp"
#include "bpf/loader/own_links.hpp"
#include "bpf/loader/tier.hpp"

#include <bpf/libbpf.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>

namespace marchproxy::tier_ebpf {

struct ring_free {
  void operator()(ring_buffer* ring) const noexcept { ring_buffer__free(ring); }
};

/// A program and the kernel's copy of its image.
struct placed_program {
  std::shared_ptr<const policy::program> program;
  std::shared_ptr<const image_map> image;
};

struct event_sink {
  const std::function<void(const flow_event&)>* to = nullptr;
  std::size_t left = 0;
  std::size_t taken = 0;
};

struct tier::state {
  struct fd_set {
    int ingress = -1;
    int judge = -1;
    int images = -1;
    int local_addresses = -1;
    int flows = -1;
    int openings = -1;
    int sources = -1;
    int totals = -1;
    int events = -1;
  };

  std::shared_ptr<installer> by;
  loaded_object object;
  fd_set fds;
  std::unique_ptr<xdp_hook> xdp;
  counter_entries counters{-1, nullptr};
  limit_meters meters{{}};
  own_links links{-1};
  bool forwards = false;
  placed_program staged;
  mutable std::mutex lock; ///< of active, coming and attached
  placed_program active;
  placed_program coming; ///< while the kernel switches to it
  std::set<int> attached;

  /// Removes what no program needs that could be in force.
  void keep_only_active() {
    counters.keep_only(active.program.get());
    meters.keep_only(active.program.get());
  }
  event_sink sink;
  std::unique_ptr<ring_buffer, ring_free> ring;

  /// Where the programs forward by themselves.
  [[nodiscard]] std::map<int, own_links::link> forwarding(const std::vector<interface>& all) const;

  [[nodiscard]] placed_program in_force() const {
    std::lock_guard guard{lock};
    return active;
  }

  /// What the kernel judges by when it answers with @p revision; nothing in it when that is gone
  /// already.
  [[nodiscard]] placed_program of(marchproxy::revision revision) const {
    std::lock_guard guard{lock};
    for (const auto* p : {&active, &coming})
      if (p->program && p->program->revision() == revision)
        return *p;
    return {};
  }
};

} // namespace marchproxy::tier_ebpf
