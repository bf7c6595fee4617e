// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <span>

namespace marchproxy::privileges::syscalls {

/// Names as libseccomp has them, without the arguments that some are bound to.
[[nodiscard]] std::span<const char* const> files() noexcept;
[[nodiscard]] std::span<const char* const> files_written() noexcept;
[[nodiscard]] std::span<const char* const> descriptors() noexcept;
[[nodiscard]] std::span<const char* const> memory() noexcept;
[[nodiscard]] std::span<const char* const> threads() noexcept;
[[nodiscard]] std::span<const char* const> signals_and_time() noexcept;
[[nodiscard]] std::span<const char* const> sockets() noexcept;
[[nodiscard]] std::span<const char* const> connections() noexcept;
[[nodiscard]] std::span<const char* const> itself() noexcept;
/// Those that start programs.
[[nodiscard]] std::span<const char* const> children() noexcept;
/// That fail, also where unknown ones are let through.
[[nodiscard]] std::span<const char* const> refused() noexcept;
/// That end the process.
[[nodiscard]] std::span<const char* const> deadly() noexcept;

} // namespace marchproxy::privileges::syscalls
