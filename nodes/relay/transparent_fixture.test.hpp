// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "nodes/relay/listener_session.hpp"
#include "nodes/relay/relay_fixture.test.hpp"

namespace marchproxy::relay::testing {

/// A worker's loop without its listeners: a firewall would have to divert to them.
class transparent : public relaying {
protected:
  transparent() {
    std::ofstream{hosts, std::ios::app} << "127.0.0.2 many.test\n127.0.0.1 many.test\n";
    client_ = set.service("client", "127.0.0.1/32");
  }
  ~transparent() override {
    if (loop_) {
      loop_->stop();
      thread_.join();
    }
  }

  void allow_name(const std::string& name) {
    set.mapping(client_, set.service(name, name)).allow_private = true;
  }

  void run(std::shared_ptr<const policy_snapshot> snapshot) {
    loop_ = std::move(*net::event_loop::create());
    resolver_ = std::move(*net::resolver::create(*loop_, settings.resolver));
    context_ = std::make_unique<context>(settings, *loop_, *resolver_, counters_, ring_, 1);
    context_->snapshot = std::move(snapshot);
    loop_->set_turn_hooks([] {}, [this] { context_->bury(); });
    thread_ = std::thread{[this] { loop_->run(); }};
  }
  void turn_to(std::shared_ptr<const policy_snapshot> snapshot) {
    loop_->post([this, snapshot] {
      context_->snapshot = snapshot;
      context_->for_each([](connection& c) { c.on_new_revision(); });
    });
  }

  /// A client whose connection to @p address was diverted here.
  peer diverted(const std::string& address, std::uint16_t port) {
    auto listening = std::move(*net::listen_tcp({*parse_ip("127.0.0.1"), 0}));
    auto out = peer::to(net::local_endpoint(listening.get()).port);
    net::accept_result got;
    EXPECT_TRUE(eventually([&] {
      got = net::accept_tcp(listening.get());
      return got.state == net::accept_state::accepted;
    }));
    loop_->post(
      [this, address, port, fd = got.connection.fd.release(), from = got.connection.peer] {
        counters_.open.add();
        context_->adopt(std::make_unique<listener_session>(
          *context_, std::make_unique<stream>(*loop_, net::unique_fd{fd}), from,
          listener_session::way{entry::transparent, {wire::host{*parse_ip(address)}, port}},
          buffer{context_->pools.buffers}));
      });
    return out;
  }
  decision_record ended() {
    decision_record out;
    EXPECT_TRUE(eventually([&] { return ring_.pop(out); }));
    return out;
  }
  static bool echoes(peer& p, const std::string& text) {
    return p.send(text) && p.exactly(text.size()) == text;
  }

  rules set;
  service_id client_;
  origin behind{echo};

private:
  std::unique_ptr<net::event_loop> loop_;
  std::unique_ptr<net::resolver> resolver_;
  worker_counters counters_;
  record_ring<decision_record> ring_{64};
  std::unique_ptr<context> context_;
  std::thread thread_;
};

} // namespace marchproxy::relay::testing
