// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/own_links.hpp"

#include "bpf/abi/flow.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>

namespace marchproxy::tier_ebpf {

result<void> own_links::set(std::map<int, link> wanted) {
  for (const auto& [index, was] : known_)
    if (!wanted.contains(index))
      bpf_map_delete_elem(fd_, &index);
  for (const auto& [index, now] : wanted) {
    auto known = known_.find(index);
    if (known != known_.end() && known->second == now)
      continue;
    mp_own_link value{};
    std::memcpy(&value.address, now.address.data(), sizeof value.address);
    value.by_tc = now.by_tc ? 1 : 0;
    if (bpf_map_update_elem(fd_, &index, &value, BPF_ANY) != 0)
      return fail(errc::unavailable, "interface " + std::to_string(index)
                                       + ": its link address: " + std::strerror(errno));
  }
  known_ = std::move(wanted);
  return {};
}

} // namespace marchproxy::tier_ebpf
