// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/revision_file.hpp"

#include "actors/base/durable_file.hpp"
#include "actors/crypto/digest.hpp"

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace marchproxy::proxy {

namespace {

result<stored_revision> parse(const std::string& text) {
  auto line = text.find('\n');
  auto head = nlohmann::json::parse(text.substr(0, line), nullptr, false);
  if (line == std::string::npos || !head.is_object())
    return fail(errc::corrupt, "the stored revision has no readable head");
  stored_revision out;
  out.bytes = text.substr(line + 1);
  try {
    out.what.revision.value = head.at("revision").get<std::uint64_t>();
    out.what.sha256 = head.at("sha256").get<std::string>();
    out.what.program_hash = head.at("program_hash").get<std::string>();
    out.what.size = head.at("size").get<std::uint64_t>();
    out.what.chunks = head.at("chunks").get<std::uint32_t>();
    out.what.signature = head.at("signature").get<std::string>();
  } catch (const nlohmann::json::exception& e) {
    return fail(errc::corrupt, std::string{"the stored revision's head: "} + e.what());
  }
  if (out.bytes.size() != out.what.size || crypto::sha256_hex(out.bytes) != out.what.sha256)
    return fail(errc::corrupt, "the stored revision " + std::to_string(out.what.revision.value)
                                 + " fails its checksum");
  return out;
}

} // namespace

result<revision_file> revision_file::open(std::filesystem::path directory) {
  std::error_code ec;
  std::filesystem::create_directories(directory, ec);
  if (ec)
    return fail(errc::unavailable, directory.string() + ": " + ec.message());
  if (::chmod(directory.c_str(), 0700) != 0)
    return fail(errc::unavailable, directory.string() + ": chmod: " + std::strerror(errno));
  return revision_file{std::move(directory)};
}

result<void> revision_file::write_staged(const stored_revision& revision) const {
  nlohmann::json head{{"revision", revision.what.revision.value},
                      {"sha256", revision.what.sha256},
                      {"program_hash", revision.what.program_hash},
                      {"size", revision.what.size},
                      {"chunks", revision.what.chunks},
                      {"signature", revision.what.signature}};
  return replace_file(directory_ / "staged", head.dump() + "\n" + revision.bytes);
}

result<void> revision_file::promote() const {
  return rename_durably(directory_ / "staged", directory_ / "active");
}

void revision_file::drop_staged() const noexcept {
  std::error_code ignored;
  std::filesystem::remove(directory_ / "staged", ignored);
}

std::filesystem::file_time_type revision_file::active_since() const noexcept {
  std::error_code none;
  return std::filesystem::last_write_time(directory_ / "active", none);
}

result<std::optional<stored_revision>> revision_file::read_active() const {
  auto text = read_file(directory_ / "active");
  if (!text)
    return std::nullopt;
  auto parsed = parse(*text);
  if (!parsed)
    return tl::unexpected(parsed.error());
  return std::optional{std::move(*parsed)};
}

result<void> revision_file::write_note(std::string_view name, std::string_view text) const {
  return replace_file(directory_ / name, text);
}

std::optional<std::string> revision_file::read_note(std::string_view name) const {
  return read_file(directory_ / name);
}

} // namespace marchproxy::proxy
