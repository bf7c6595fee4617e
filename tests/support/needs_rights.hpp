// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

namespace marchproxy::testing {

/// MP_REQUIRE_ROOT=1: a test that lacks rights fails instead of being skipped.
[[nodiscard]] inline bool rights_are_required() {
  const auto* required = std::getenv("MP_REQUIRE_ROOT");
  return required != nullptr && std::string_view{required} == "1";
}

} // namespace marchproxy::testing

/// Ends a test for which the rights are missing. @param why  what it takes
#define MP_NEEDS_RIGHTS(why)                                                                       \
  do {                                                                                             \
    if (marchproxy::testing::rights_are_required())                                                \
      FAIL() << why;                                                                               \
    GTEST_SKIP() << why;                                                                           \
  } while (false)
