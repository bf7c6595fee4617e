// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/revision_file.hpp"

#include "actors/crypto/digest.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace marchproxy::proxy {

namespace {

class descriptor {
public:
  explicit descriptor(int fd) : fd_(fd) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

private:
  int fd_;
};

tl::unexpected<error> failed(const std::filesystem::path& path, const char* what) {
  return fail(errc::unavailable, path.string() + ": " + what + ": " + std::strerror(errno));
}

result<void> sync_directory(const std::filesystem::path& directory) {
  descriptor fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (fd.get() < 0 || ::fsync(fd.get()) != 0)
    return failed(directory, "fsync");
  return {};
}

result<void> write_durably(const std::filesystem::path& path, std::string_view bytes) {
  descriptor fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (fd.get() < 0)
    return failed(path, "open");
  while (!bytes.empty()) {
    auto written = ::write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return failed(path, "write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd.get()) != 0)
    return failed(path, "fsync");
  return {};
}

result<void> rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    return failed(to, "rename");
  return sync_directory(to.parent_path());
}

std::optional<std::string> slurp(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in)
    return std::nullopt;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

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
    return failed(directory, "chmod");
  return revision_file{std::move(directory)};
}

result<void> revision_file::write_staged(const stored_revision& revision) const {
  nlohmann::json head{{"revision", revision.what.revision.value},
                      {"sha256", revision.what.sha256},
                      {"program_hash", revision.what.program_hash},
                      {"size", revision.what.size},
                      {"chunks", revision.what.chunks},
                      {"signature", revision.what.signature}};
  auto path = directory_ / "staged";
  auto fresh = directory_ / "staged.new";
  if (auto ok = write_durably(fresh, head.dump() + "\n" + revision.bytes); !ok)
    return ok;
  return rename_durably(fresh, path);
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
  auto text = slurp(directory_ / "active");
  if (!text)
    return std::nullopt;
  auto parsed = parse(*text);
  if (!parsed)
    return tl::unexpected(parsed.error());
  return std::optional{std::move(*parsed)};
}

result<void> revision_file::write_note(std::string_view name, std::string_view text) const {
  auto path = directory_ / name;
  auto fresh = path;
  fresh += ".new";
  if (auto ok = write_durably(fresh, text); !ok)
    return ok;
  return rename_durably(fresh, path);
}

std::optional<std::string> revision_file::read_note(std::string_view name) const {
  return slurp(directory_ / name);
}

} // namespace marchproxy::proxy
