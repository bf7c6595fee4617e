// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/netd/remote_sockets.hpp"

#include <utility>

namespace marchproxy::netd {

namespace {

class by_remote final : public net::socket_broker {
public:
  explicit by_remote(std::shared_ptr<remote> by) : by_(std::move(by)) {}

  [[nodiscard]] result<net::unique_fd> listen_tcp(const net::endpoint& at,
                                                  const net::listen_options& options) override {
    return by_->ask_for_one(netd::listen_tcp{at, options});
  }
  [[nodiscard]] result<net::unique_fd> bind_udp(const net::endpoint& at,
                                                const net::udp_options& options) override {
    return by_->ask_for_one(netd::bind_udp{at, options});
  }
  [[nodiscard]] result<void> widen_receive_buffer(int fd, std::size_t bytes) override {
    auto answered = by_->ask(netd::widen_receive_buffer{static_cast<std::uint32_t>(bytes)}, fd);
    if (!answered)
      return tl::unexpected(answered.error());
    return {};
  }

private:
  std::shared_ptr<remote> by_;
};

} // namespace

std::unique_ptr<net::socket_broker> remote_sockets(std::shared_ptr<remote> by) {
  return std::make_unique<by_remote>(std::move(by));
}

} // namespace marchproxy::netd
