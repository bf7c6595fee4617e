// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/loader/kernel_programs.hpp"

#include "bpf/loader/descriptor.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

namespace marchproxy::tier_ebpf {

namespace {

thread_local std::string libbpf_said;
constexpr std::size_t longest_reason = 800;

int keep_warnings(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN || libbpf_said.size() >= longest_reason)
    return 0;
  std::array<char, longest_reason> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  libbpf_said += line.data();
  return 0;
}

} // namespace

std::uint32_t id_of_program(int fd) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.id : 0;
}

bool is_named(std::uint32_t program_id, std::string_view name) {
  descriptor fd{bpf_prog_get_fd_by_id(program_id)};
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  return fd && bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0 && name == &info.name[0];
}

void begin_loading() {
  libbpf_said.clear();
  libbpf_set_print(keep_warnings);
}

tl::unexpected<error> cannot_load(const char* what, int negative_errno) {
  while (!libbpf_said.empty() && libbpf_said.back() == '\n')
    libbpf_said.pop_back();
  return fail(errc::unsupported, std::string{what} + ": " + std::strerror(-negative_errno)
                                   + (libbpf_said.empty() ? "" : " (" + libbpf_said + ")"));
}

} // namespace marchproxy::tier_ebpf
