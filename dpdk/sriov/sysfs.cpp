// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/sysfs.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace marchproxy::sriov {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t page = 4096; // an attribute is no longer
constexpr std::size_t most_names = 65'536;

/// A file that is closed when it goes.
struct open_file {
  explicit open_file(const std::string& path, int flags)
    : fd(::open(path.c_str(), flags | O_CLOEXEC)) {} // NOLINT(cppcoreguidelines-pro-type-vararg)
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  ~open_file() {
    if (fd >= 0)
      ::close(fd);
  }
  int fd;
};

bool is_gone(int number) {
  return number == ENOENT || number == ENOTDIR || number == ENODEV;
}

tl::unexpected<error> failed(const std::string& path, int number) {
  return fail(errc::unavailable, path + ": " + std::strerror(number));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\n";
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  text.remove_suffix(text.size() - std::min(text.find_last_not_of(blanks) + 1, text.size()));
  return text;
}

} // namespace

result<std::optional<std::string>> sysfs_reader::text(const std::string& file) const {
  const auto where = path(file);
  const open_file in{where, O_RDONLY};
  if (in.fd < 0)
    return is_gone(errno) ? result<std::optional<std::string>>{} : failed(where, errno);
  std::array<char, page + 1> buffer{};
  std::size_t size = 0;
  for (;;) {
    const auto got = ::read(in.fd, buffer.data() + size, buffer.size() - size);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return is_gone(errno) ? result<std::optional<std::string>>{} : failed(where, errno);
    if (got == 0)
      break;
    size += static_cast<std::size_t>(got);
    if (size > page)
      return fail(errc::corrupt, where + ": longer than a page");
  }
  const auto out = trimmed({buffer.data(), size});
  if (std::any_of(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }))
    return fail(errc::corrupt, where + ": is no line of text");
  return std::optional{std::string{out}};
}

result<std::optional<long long>> sysfs_reader::number(const std::string& file) const {
  auto read = text(file);
  if (!read)
    return tl::unexpected(read.error());
  if (!*read)
    return std::optional<long long>{};
  std::string_view digits = **read;
  const int base = digits.starts_with("0x") ? 16 : 10;
  if (base == 16)
    digits.remove_prefix(2);
  long long out = 0;
  const auto* last = digits.data() + digits.size();
  const auto [end, wrong] = std::from_chars(digits.data(), last, out, base);
  if (digits.empty() || wrong != std::errc{} || end != last)
    return fail(errc::corrupt, path(file) + ": '" + (*read)->substr(0, 40) + "' is no number");
  return std::optional{out};
}

result<std::optional<std::string>> sysfs_reader::link(const std::string& file) const {
  std::error_code wrong;
  const auto to = fs::read_symlink(path(file), wrong);
  if (!wrong)
    return std::optional{to.filename().string()};
  if (is_gone(wrong.value()))
    return std::optional<std::string>{};
  return failed(path(file), wrong.value());
}

result<std::vector<std::string>> sysfs_reader::names(const std::string& directory) const {
  std::vector<std::string> out;
  std::error_code wrong;
  fs::directory_iterator at{path(directory), wrong};
  if (wrong)
    return is_gone(wrong.value()) ? result<std::vector<std::string>>{}
                                  : failed(path(directory), wrong.value());
  for (const fs::directory_iterator end; !wrong && at != end; at.increment(wrong)) {
    if (out.size() == most_names)
      return fail(errc::too_large,
                  path(directory) + ": more than " + std::to_string(most_names) + " entries");
    out.push_back(at->path().filename().string());
  }
  if (wrong)
    return failed(path(directory), wrong.value());
  std::sort(out.begin(), out.end());
  return out;
}

bool sysfs_reader::exists(const std::string& file) const {
  std::error_code wrong;
  return fs::exists(path(file), wrong);
}

result<void> file_writer::write(const std::string& file, std::string_view text) {
  const auto where = root_ + "/" + file;
  const open_file out{where, O_WRONLY};
  if (out.fd < 0)
    return fail(is_gone(errno) ? errc::not_found : errc::refused,
                where + ": " + std::strerror(errno));
  // One call: the kernel takes each write as a value of its own.
  ssize_t done = -1;
  do
    done = ::write(out.fd, text.data(), text.size());
  while (done < 0 && errno == EINTR);
  if (done < 0)
    return fail(errc::refused, where + ": " + std::strerror(errno));
  if (static_cast<std::size_t>(done) != text.size())
    return fail(errc::refused, where + ": the kernel took a part of it only");
  return {};
}

} // namespace marchproxy::sriov
