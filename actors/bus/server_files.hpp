// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/bus/server.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace marchproxy::bus {

/// Makes the directories, private to this user, and writes nats.conf.
[[nodiscard]] result<void> write_server_files(const server_options& options, std::uint16_t port);

/// nats.conf in the server's own format. @param port  0 lets the server choose
[[nodiscard]] std::string server_configuration(const server_options& options, std::uint16_t port);

/// The port of the last run; nothing before the first.
[[nodiscard]] std::optional<std::uint16_t> read_stored_port(const std::filesystem::path& directory);
[[nodiscard]] result<void> store_port(const std::filesystem::path& directory, std::uint16_t port);

/// The port in the file that nats-server writes when it is ready; nothing while there is none.
[[nodiscard]] std::optional<std::uint16_t> read_ports_file(const std::filesystem::path& directory,
                                                           int pid);

/// The last lines of what the server said, for an error message.
[[nodiscard]] std::string last_words(const std::filesystem::path& directory);

} // namespace marchproxy::bus
