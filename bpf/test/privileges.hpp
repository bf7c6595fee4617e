// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "bpf/loader/probe.hpp"
#include "tests/support/needs_rights.hpp"

#include <gtest/gtest.h>

#include <string>

namespace marchproxy::tier_ebpf::testing {

/// Whether the test can do what needs the kernel's privileges. When not, the running test is
/// skipped and says so; with MP_REQUIRE_ROOT=1 it fails.
inline bool privileged() {
  auto require = [](const std::string& detail) {
    MP_NEEDS_RIGHTS("the kernel's tests need privileges; " + detail);
  };
  for (const auto& check : probe().checks)
    if (check.name == "capabilities" && !check.ok) {
      require(check.detail);
      return false;
    }
  return true;
}

} // namespace marchproxy::tier_ebpf::testing
