// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/ingress/node.hpp"
#include "nodes/serving/program.hpp"

namespace {

constexpr const char* help = R"(marchproxy-ingress: an ingress proxy of MarchProxy

Usage: marchproxy-ingress [--help | --version | --healthcheck]

  --healthcheck   asks the proxy that runs here for /healthz; exit 0 while a revision is in force

It listens on the ports that the cluster's ingress routes have. Everything else comes from the
environment; docs/configuration.md has every variable. The most used:
  CLUSTER_API_KEY       the cluster's key, as the manager showed it (required)
  NATS_URL              the bus                            (nats://127.0.0.1:4222)
  PROXY_NAME            its name in the cluster             (the host's name)
  STATE_DIR             where the last good revision lies   (/var/lib/marchproxy/ingress)
  LISTEN_ADDRESS        where the routes' ports open        (0.0.0.0)
  ADMIN_ADDRESS, ADMIN_PORT    /healthz, /metrics, /explain (127.0.0.1, 8082)
  TLS_CERT_DIR          NAME.crt and NAME.key for routes with tls   (none)
  TLS_CLIENT_CA_FILE    who vouches for client certificates         (none)
  TLS_UPSTREAM_CA_FILE  who vouches for backends with TLS           (the system's)
  KERNEL_TLS            false: the kernel does not encrypt, even where it can (true)
  FORWARDED             which fields name the client        (x-forwarded-for)
  WORKERS               threads of the relay                (1)
  LOG_LEVEL             trace, debug, info, warn, error     (info)
)";

} // namespace

int main(int argc, char** argv) {
  using namespace marchproxy;
  return serving::main_of<ingress::settings>({"marchproxy-ingress", "ingress", help}, argc, argv,
                                             ingress::read_settings, ingress::run);
}
