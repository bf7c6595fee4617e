// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/http/server.hpp"

#include "nodes/http/client_session.hpp"
#include "nodes/http/handler_pool.hpp"

#include <sys/epoll.h>

#include <atomic>
#include <exception>
#include <memory>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace marchproxy::http {

namespace {

/// Clients over max_connections that are being told so; any more are closed without a word.
constexpr std::size_t max_refused = 64;
constexpr int accepts_per_turn = 64;

} // namespace

class server::engine final : private net::io_handler {
public:
  engine(const server_options& options,
         handler handle,
         net::unique_fd listener,
         std::unique_ptr<net::event_loop> loop)
    : options_(options),
      handle_(std::move(handle)),
      loop_(std::move(loop)),
      listener_(std::move(listener)),
      local_(net::local_endpoint(listener_.get())),
      retry_([this] { listen(true); }),
      pool_(options.handler_threads, options.max_waiting) {
    owner_.submit = [this](std::uint64_t session, request r) {
      return submit(session, std::move(r));
    };
    owner_.finished = [this](std::uint64_t session) { finished(session); };
  }
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  ~engine() {
    pool_.stop(); // handlers post their answers to the loop, so they go first
    loop_->stop();
    if (thread_.joinable())
      thread_.join();
    sessions_.clear();
    if (listener_)
      loop_->remove(listener_.get(), *this);
  }

  [[nodiscard]] result<void> start() {
    if (auto added = loop_->add(listener_.get(), EPOLLIN, *this); !added)
      return added;
    thread_ = std::thread([this] { loop_->run(); });
    return {};
  }

  [[nodiscard]] net::endpoint local() const noexcept { return local_; }
  [[nodiscard]] std::size_t connections() const noexcept { return open_; }

private:
  void on_io(std::uint32_t) override {
    for (int i = 0; i < accepts_per_turn; ++i) {
      auto next = net::accept_tcp(listener_.get());
      if (next.state == net::accept_state::out_of_descriptors) {
        // The listener would stay readable and spin; look again when some may be free.
        listen(false);
        loop_->arm(retry_, std::chrono::milliseconds(100));
      }
      if (next.state != net::accept_state::accepted)
        return;
      admit(std::move(next.connection));
    }
  }

  void listen(bool on) { loop_->modify(listener_.get(), on ? EPOLLIN : 0U, *this); }

  void admit(net::accepted from) {
    if (sessions_.size() >= options_.max_connections + max_refused)
      return;
    const bool full = sessions_.size() >= options_.max_connections;
    const auto id = ++last_id_;
    auto made = std::make_unique<client_session>(id, std::move(from), *loop_, options_, owner_);
    auto& session = *made;
    sessions_.emplace(id, std::move(made));
    open_ = sessions_.size();
    session.start(full);
  }

  bool submit(std::uint64_t session, request r) {
    auto work = [this, session, asked = std::move(r)] {
      response out = run(asked);
      loop_->post([this, session, answer = std::move(out)] {
        const auto found = sessions_.find(session);
        if (found != sessions_.end())
          found->second->answer(answer);
      });
    };
    return pool_.submit(std::move(work));
  }

  [[nodiscard]] response run(const request& asked) const {
    try {
      return handle_(asked);
    } catch (const std::exception&) {
      response out;
      out.status = 500;
      return out;
    }
  }

  void finished(std::uint64_t session) {
    loop_->post([this, session] {
      sessions_.erase(session);
      open_ = sessions_.size();
    });
  }

  server_options options_;
  handler handle_;
  client_session::owner owner_;
  std::unique_ptr<net::event_loop> loop_;
  net::unique_fd listener_;
  net::endpoint local_;
  net::timer retry_;
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, std::unique_ptr<client_session>> sessions_;
  std::atomic<std::size_t> open_{0};
  std::thread thread_;
  handler_pool pool_;
};

server::server(std::unique_ptr<engine> made) : engine_(std::move(made)) {}

server::~server() = default;

result<std::unique_ptr<server>>
server::start(server_options options, handler handle, net::unique_fd listener) {
  if (!listener) {
    auto made = net::listen_tcp(options.listen, {.reuse_port = false});
    if (!made)
      return tl::unexpected(made.error());
    listener = *std::move(made);
  }
  auto loop = net::event_loop::create();
  if (!loop)
    return tl::unexpected(loop.error());
  auto made =
    std::make_unique<engine>(options, std::move(handle), std::move(listener), *std::move(loop));
  if (auto started = made->start(); !started)
    return tl::unexpected(started.error());
  return std::unique_ptr<server>(new server(std::move(made)));
}

net::endpoint server::local() const noexcept {
  return engine_->local();
}

std::size_t server::connections() const noexcept {
  return engine_->connections();
}

} // namespace marchproxy::http
