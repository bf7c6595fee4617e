// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/loader/installer.hpp"
#include "nodes/net/local_channel.hpp"
#include "nodes/netd/messages.hpp"

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace marchproxy::netd {

/// What a request comes to. The descriptors go with as many messages.
struct answer {
  std::vector<std::pair<given, net::unique_fd>> descriptors;
  tier_ebpf::probe_report report;
};

/// What netd does for the packet programs. Requests come from a process that may have been taken
/// over: each is checked here, also against what was asked before.
class packet_service {
public:
  /// @param report  of the rights that netd had when it started
  packet_service(std::unique_ptr<tier_ebpf::installer> by, tier_ebpf::probe_report report)
    : by_(std::move(by)), report_(std::move(report)) {}

  /// @param attached  the descriptor that came with it
  /// @errors as the installer's; refused for what is out of order; unsupported for what another
  /// service does
  [[nodiscard]] result<answer> handle(const request& r, net::unique_fd attached);

private:
  [[nodiscard]] result<answer> image(const make_image& r, const net::unique_fd& file);
  [[nodiscard]] result<answer> load(const request& r);

  std::unique_ptr<tier_ebpf::installer> by_;
  tier_ebpf::probe_report report_;
  bool has_tc_ = false;
  bool has_xdp_ = false;
};

/// What netd does for sockets. @errors those of net; unsupported as above
[[nodiscard]] result<answer> handle_socket(const request& r, net::unique_fd attached);

using handler = std::function<result<answer>(const request&, net::unique_fd)>;
/// Says hello, then answers until the other side has ended.
void serve(net::local_channel channel, const handler& handle);

} // namespace marchproxy::netd
