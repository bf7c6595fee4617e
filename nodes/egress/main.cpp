// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/node.hpp"
#include "nodes/serving/program.hpp"

namespace {

constexpr const char* help = R"(marchproxy-egress: an egress proxy of MarchProxy

Usage: marchproxy-egress [--help | --version | --healthcheck]

  --healthcheck   asks the proxy that runs here for /healthz; exit 0 while a revision is in force

Everything else comes from the environment; docs/configuration.md has every variable. The most used:
  CLUSTER_API_KEY       the cluster's key, as the manager showed it (required)
  NATS_URL              the bus                            (nats://127.0.0.1:4222)
  PROXY_NAME            its name in the cluster             (the host's name)
  STATE_DIR             where the last good revision lies   (/var/lib/marchproxy/egress)
  LISTEN_ADDRESS, LISTEN_PORT  HTTP CONNECT, GET, SOCKS5    (0.0.0.0, 8080)
  ADMIN_ADDRESS, ADMIN_PORT    /healthz, /metrics, /explain (127.0.0.1, 8081)
  WORKERS               threads of the relay                (1)
  ENABLE_EBPF           true, false, auto                   (auto)
  EBPF_INTERFACES       where routed packets are judged     (every Ethernet interface that is up)
  ENABLE_XDP            true, false, auto: at the driver    (auto)
  EBPF_FORWARDING       kernel, direct                      (kernel)
  ENABLE_AF_XDP         true, false: the packet worker      (false)
  ENABLE_DPDK           true, false: likewise, by DPDK      (false)
  LOG_LEVEL             trace, debug, info, warn, error     (info)
)";

} // namespace

int main(int argc, char** argv) {
  using namespace marchproxy;
  return serving::main_of<egress::settings>({"marchproxy-egress", "egress", help}, argc, argv,
                                            egress::read_settings, egress::run);
}
