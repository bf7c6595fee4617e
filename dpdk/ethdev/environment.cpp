// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/ethdev/environment.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <sched.h>

#include <fstream>
#include <memory>
#include <mutex>
#include <thread>

namespace marchproxy::ethdev {

namespace {

constexpr unsigned cached_by_thread = 256;

bool free_huge_pages() {
  std::ifstream file{"/proc/meminfo"};
  for (std::string word; file >> word;)
    if (word == "HugePages_Free:") {
      std::size_t count = 0;
      file >> count;
      return count > 0;
    }
  return false;
}

} // namespace

std::vector<std::string> arguments(const environment_options& options, int core, bool huge_pages) {
  std::vector<std::string> out{"marchproxy",     "-l",     std::to_string(core),
                               "--no-telemetry", "-m",     std::to_string(options.memory_mib),
                               "--log-level",    "warning"};
  // The two exclude each other, and both leave no file behind.
  if (huge_pages)
    out.push_back("--in-memory");
  else
    out.insert(out.end(), {"--no-huge", "--no-shconf"});
  if (options.devices.empty())
    out.push_back("--no-pci");
  for (const auto& d : options.devices)
    out.insert(out.end(), {"-a", d});
  return out;
}

result<void> environment::begin(const environment_options& options) {
  huge_pages_ = free_huge_pages();
  auto words = arguments(options, ::sched_getcpu(), huge_pages_);
  std::vector<char*> pointers;
  pointers.reserve(words.size());
  for (auto& w : words)
    pointers.push_back(w.data());
  int rc = 0;
  int why = 0;
  // On a thread of its own: the EAL binds its caller to a core, for good.
  std::thread{[&] {
    rc = ::rte_eal_init(static_cast<int>(pointers.size()), pointers.data());
    why = rte_errno;
  }}.join();
  if (rc < 0)
    return fail(errc::unsupported, std::string{"DPDK: "} + ::rte_strerror(why));
  buffers_ =
    ::rte_pktmbuf_pool_create("mp_frames", static_cast<unsigned>(options.buffers), cached_by_thread,
                              0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (buffers_ == nullptr)
    return fail(errc::unsupported,
                std::string{"DPDK, buffers for frames: "} + ::rte_strerror(rte_errno));
  return {};
}

result<environment*> environment::start(const environment_options& options) {
  static std::mutex lock;
  static std::unique_ptr<environment> only;
  static std::unique_ptr<error> failed;
  std::lock_guard guard{lock};
  if (failed)
    return tl::unexpected(*failed);
  if (only)
    return only.get();
  std::unique_ptr<environment> made{new environment};
  if (auto ok = made->begin(options); !ok) {
    failed = std::make_unique<error>(ok.error());
    return tl::unexpected(ok.error());
  }
  only = std::move(made);
  return only.get();
}

std::size_t environment::buffers_in_use() const noexcept {
  return ::rte_mempool_in_use_count(buffers_);
}

} // namespace marchproxy::ethdev
