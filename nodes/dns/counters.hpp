// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/net/counter.hpp"

#include <array>
#include <string_view>

namespace marchproxy::dns {

/// Answers are counted by these; other codes share the last.
constexpr std::array<std::string_view, 7> rcode_names = {
  "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "other"};

/// Written by the server's thread, read by any.
struct counters {
  net::counter udp; ///< questions
  net::counter tcp;
  std::array<net::counter, rcode_names.size()> answers;
  net::counter truncated;         ///< of these, by UDP and too long
  net::counter ech_removed;       ///< parameters
  net::counter upstream_failures; ///< questions that no name server answered, or in a way that
                                  ///< can't be read
  net::counter limited;           ///< questions and connections beyond a bound

  void answered(unsigned code) noexcept {
    answers[code < answers.size() - 1 ? code : answers.size() - 1].add();
  }
};

} // namespace marchproxy::dns
