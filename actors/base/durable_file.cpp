// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/base/durable_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace marchproxy {

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

} // namespace

result<void> rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    return failed(to, "rename");
  return sync_directory(to.parent_path());
}

result<void> replace_file(const std::filesystem::path& path, std::string_view bytes) {
  auto fresh = path;
  fresh += ".new";
  if (auto ok = write_durably(fresh, bytes); !ok)
    return ok;
  return rename_durably(fresh, path);
}

std::optional<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in)
    return std::nullopt;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

} // namespace marchproxy
