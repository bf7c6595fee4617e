// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/loader/installer.hpp"
#include "nodes/netd/remote.hpp"

#include <memory>

namespace marchproxy::netd {

/// An installer that has netd do it.
[[nodiscard]] std::unique_ptr<tier_ebpf::installer> remote_installer(std::shared_ptr<remote> by);

} // namespace marchproxy::netd
