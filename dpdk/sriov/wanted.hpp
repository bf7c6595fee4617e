// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "dpdk/sriov/vf_settings.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace marchproxy::sriov {

/// Whose a virtual function shall be: a driver's of the kernel, whichever takes it, or vfio's, so
/// that DPDK can have it.
enum class driver_choice : std::uint8_t { kernel, vfio_pci };

struct wanted_function {
  vf_settings settings = {};                ///< what is not given stays as it is
  std::optional<driver_choice> driver = {}; ///< likewise
};

/// What a physical function shall have.
struct wanted_state {
  std::string device;                     ///< `eth1` or `0000:01:00.0`
  std::vector<wanted_function> functions; ///< as many as there shall be, by index
  bool no_iommu = false;                  ///< vfio without an IOMMU, which protects nothing
};

/// Reads a wanted state:
///
///   {"device": "eth1", "count": 2, "all": {"driver": "vfio-pci", "spoof_check": true},
///    "functions": {"0": {"mac": "02:00:00:00:00:01", "vlan": 100, "priority": 3}}}
///
/// Fields of a function: mac, vlan (0: none), priority, spoof_check, trust, link_state (auto,
/// enable, disable), driver (kernel, vfio-pci). What `functions` says goes before what `all` says.
/// @errors invalid_argument, naming each field that is wrong
[[nodiscard]] result<wanted_state> read_wanted(const nlohmann::json& input);

} // namespace marchproxy::sriov
