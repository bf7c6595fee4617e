// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/privileges/capabilities.hpp"

#include "nodes/privileges/child.test.hpp"
#include "tests/support/needs_rights.hpp"

#include <gtest/gtest.h>

#include <sys/prctl.h>
#include <sys/socket.h>

#include <cerrno>

namespace marchproxy::privileges {
namespace {

using testing::in_child;

TEST(capabilities, all_are_gone_and_no_program_gets_any_again) {
  EXPECT_EQ(in_child([] {
              if (!keep_only(0))
                return 1;
              auto now = of_process();
              if (!now || *now != restrictions{0, true, false})
                return 2;
              return held() == 0 ? 0 : 3;
            }),
            "0");
}

TEST(capabilities, threads_that_start_later_have_none_either) {
  EXPECT_EQ(in_child([] {
              if (!keep_only(0))
                return 1;
              int out = 2;
              std::thread{[&] { out = held() == 0 ? 0 : 3; }}.join();
              return out;
            }),
            "0");
}

TEST(capabilities, one_that_is_kept_is_the_only_one) {
  if ((held() & of(CAP_NET_RAW, CAP_SETPCAP)) != of(CAP_NET_RAW, CAP_SETPCAP))
    MP_NEEDS_RIGHTS("it takes CAP_NET_RAW and CAP_SETPCAP");
  EXPECT_EQ(in_child([] {
              if (!keep_only(of(CAP_NET_RAW)))
                return 1;
              if (held() != of(CAP_NET_RAW))
                return 2;
              if (::socket(AF_INET, SOCK_RAW, 1) < 0)
                return 3;
              return ::prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0 ? 0 : 4;
            }),
            "0");
}

TEST(capabilities, a_raw_socket_is_refused_without_them) {
  EXPECT_EQ(in_child([] {
              if (!keep_only(0))
                return 1;
              return ::socket(AF_INET, SOCK_RAW, 1) < 0 && errno == EPERM ? 0 : 2;
            }),
            "0");
}

TEST(capabilities, what_is_not_held_is_not_gained) {
  EXPECT_EQ(in_child([] {
              if (!keep_only(0) || !keep_only(of(CAP_NET_ADMIN)))
                return 1;
              return held() == 0 ? 0 : 2;
            }),
            "0");
}

TEST(capabilities, have_their_names) {
  EXPECT_EQ(names(0), "");
  EXPECT_EQ(names(of(CAP_NET_ADMIN, CAP_BPF)), "CAP_NET_ADMIN CAP_BPF");
  EXPECT_EQ(names(capability_set{1} << 60), "60");
}

} // namespace
} // namespace marchproxy::privileges
