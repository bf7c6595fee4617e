// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"

#include <cstdint>
#include <string_view>

namespace marchproxy::tier_ebpf {

/// The kernel's id of a program; 0 when it has none.
[[nodiscard]] std::uint32_t id_of_program(int fd);
/// Whether the program with this id has this name, at most 15 bytes.
[[nodiscard]] bool is_named(std::uint32_t program_id, std::string_view name);

/// From here on what libbpf says on this thread is kept: its reasons are only in its log.
void begin_loading();
/// @return unsupported, with what libbpf said since begin_loading()
[[nodiscard]] tl::unexpected<error> cannot_load(const char* what, int negative_errno);

} // namespace marchproxy::tier_ebpf
