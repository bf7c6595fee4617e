// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/dns/server.hpp"

#include "nodes/dns/tcp_client.hpp"
#include "nodes/dns/told_addresses.hpp"
#include "nodes/limiting/source_table.hpp"
#include "nodes/net/datagram.hpp"
#include "nodes/net/datagram_runs.hpp"
#include "nodes/net/datagram_socket.hpp"
#include "nodes/net/listener.hpp"
#include "nodes/wire/dns_ech.hpp"

#include <map>
#include <thread>
#include <unordered_map>
#include <utility>

namespace marchproxy::dns {

namespace {

/// Where an answer goes.
struct way_back {
  std::uint64_t connection = 0; ///< of TCP; 0: by UDP
  int fd = -1;
  net::endpoint to;
  std::optional<ip_address> from; ///< the address that was asked

  [[nodiscard]] bool by_udp() const noexcept { return connection == 0; }
};

/// A question under way.
struct errand {
  client_question question;
  way_back back;
  std::uint64_t source = 0;
  std::optional<inquiry> asks;
};

bool unspecified(const ip_address& address) noexcept {
  return address == ip_address::v4(0) || address == ip_address::v6({});
}

} // namespace

class server::engine {
public:
  engine(server_options options, std::unique_ptr<net::event_loop> loop)
    : options_(std::move(options)),
      loop_(std::move(loop)),
      known_(options_.policy),
      buffer_(wire::dns_max_message, '\0') {
    owner_.asked = [this](tcp_client& from, std::string_view question) {
      options_.counts->tcp.add();
      take(question, from.peer().address, {from.id(), -1, {}, {}});
    };
    owner_.ended = [this](tcp_client& which) { bury(which); };
    loop_->set_turn_hooks([] {},
                          [this] {
                            done_.clear();
                            gone_.clear();
                          });
  }
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;
  ~engine() {
    loop_->stop();
    if (thread_.joinable())
      thread_.join();
    tcp_.clear(); // it hands on what waits, while all else is still there
  }

  [[nodiscard]] result<void> listen(net::endpoint at);
  void run() {
    thread_ = std::thread{[this] { loop_->run(); }};
  }
  [[nodiscard]] const std::vector<net::endpoint>& local() const noexcept { return local_; }

private:
  /// A socket that clients send datagrams to.
  struct udp_port final : net::io_handler {
    udp_port(engine& o, net::unique_fd f) : owner(o), fd(std::move(f)) {}
    udp_port(const udp_port&) = delete;
    udp_port& operator=(const udp_port&) = delete;
    ~udp_port() { owner.loop_->remove(fd.get(), *this); }
    void on_io(std::uint32_t /*events*/) override { owner.read(*this); }
    engine& owner;
    net::unique_fd fd;
    bool tells_destination = false;
  };

  void read(udp_port& port);
  void accept(net::accepted from);
  void bury(tcp_client& which);
  void take(std::string_view message, const ip_address& client, const way_back& back);
  void pass_on(client_question question, std::uint64_t source, const way_back& back);
  void take_answer(std::uint64_t id, const inquiry::outcome& outcome);
  [[nodiscard]] std::string translate(const errand& of, std::string_view answer);
  void answer(const way_back& back, std::string_view message);
  [[nodiscard]] bool hold(std::uint64_t source);
  void release(std::uint64_t source);

  server_options options_;
  std::unique_ptr<net::event_loop> loop_;
  known_clients known_;
  std::string buffer_; ///< for what arrives from name servers and by TCP
  std::string rewritten_;
  wire::ech_stripper stripper_;
  net::datagram_reader reader_;
  net::run_writer writer_;
  tcp_client::owner owner_;
  std::vector<net::endpoint> local_;
  std::vector<std::unique_ptr<udp_port>> udp_;
  std::vector<std::unique_ptr<net::listener>> tcp_;
  std::uint64_t last_id_ = 0;
  std::size_t first_server_ = 0;                        ///< the last one that answered
  std::unordered_map<std::uint64_t, std::size_t> held_; ///< by source
  std::unordered_map<std::uint64_t, std::unique_ptr<errand>> errands_;
  std::unordered_map<std::uint64_t, std::unique_ptr<tcp_client>> clients_;
  std::vector<std::unique_ptr<errand>> done_;     ///< until the turn ends
  std::vector<std::unique_ptr<tcp_client>> gone_; ///< until the turn ends
  std::thread thread_;
};

result<void> server::engine::listen(net::endpoint at) {
  // Where the kernel picks the port, UDP gets the one that TCP got.
  auto tcp = net::listen_tcp(at, {.reuse_port = false});
  if (!tcp)
    return tl::unexpected(tcp.error());
  at.port = net::local_endpoint(tcp->get()).port;
  auto udp = net::bind_udp(at);
  if (!udp)
    return tl::unexpected(udp.error());
  auto port = std::make_unique<udp_port>(*this, std::move(*udp));
  if (unspecified(at.address)) {
    net::tell_destination(port->fd.get());
    port->tells_destination = true;
  }
  if (auto added = loop_->add(port->fd.get(), EPOLLIN, *port); !added)
    return added;
  udp_.push_back(std::move(port));
  auto opened = net::listener::open(*loop_, std::move(*tcp),
                                    [this](net::accepted from) { accept(std::move(from)); });
  if (!opened)
    return tl::unexpected(opened.error());
  tcp_.push_back(std::move(*opened));
  local_.push_back(at);
  return {};
}

void server::engine::read(udp_port& port) {
  for (const auto& each : reader_.read(port.fd.get())) {
    way_back back{0, port.fd.get(), each.from, std::nullopt};
    if (port.tells_destination)
      back.from = each.to.address;
    each.for_each([&](std::string_view bytes) {
      options_.counts->udp.add();
      take(bytes, each.from.address, back);
    });
  }
}

void server::engine::accept(net::accepted from) {
  const auto source = limiting::source_key(from.peer.address);
  if (!known_.knows(from.peer.address))
    return;
  if (clients_.size() >= options_.most_connections || !hold(source))
    return options_.counts->limited.add();
  auto made = std::make_unique<tcp_client>(*loop_, std::move(from), ++last_id_,
                                           std::span<char>{buffer_}, owner_);
  if (!made->start())
    return release(source);
  clients_.emplace(last_id_, std::move(made));
}

void server::engine::bury(tcp_client& which) {
  release(limiting::source_key(which.peer().address));
  gone_.push_back(std::move(clients_.extract(which.id()).mapped()));
}

/// @return false: the source has enough under way
bool server::engine::hold(std::uint64_t source) {
  auto& held = held_[source];
  if (held >= options_.most_of_source)
    return false;
  ++held;
  return true;
}

void server::engine::release(std::uint64_t source) {
  auto found = held_.find(source);
  if (--found->second == 0)
    held_.erase(found);
}

void server::engine::take(std::string_view message,
                          const ip_address& client,
                          const way_back& back) {
  auto read = parse_question(message);
  if (!read)
    return;
  auto code = read->verdict;
  if (!known_.knows(client))
    code = rcode::refused;
  const auto source = limiting::source_key(client);
  if (code == rcode::no_error && (errands_.size() >= options_.most_questions || !hold(source))) {
    options_.counts->limited.add();
    code = rcode::server_failure;
  }
  if (code == rcode::no_error)
    return pass_on(std::move(read->question), source, back);
  options_.counts->answered(static_cast<unsigned>(code));
  answer(back, bare_answer(read->question, code));
}

void server::engine::pass_on(client_question question, std::uint64_t source, const way_back& back) {
  const auto id = ++last_id_;
  auto made = std::make_unique<errand>();
  made->question = std::move(question);
  made->back = back;
  made->source = source;
  auto& asks = made->asks.emplace(
    *loop_, inquiry::plan{made->question, options_.to, first_server_, std::span<char>{buffer_}},
    [this, id](const inquiry::outcome& outcome) { take_answer(id, outcome); });
  errands_.emplace(id, std::move(made));
  asks.ask();
}

void server::engine::take_answer(std::uint64_t id, const inquiry::outcome& outcome) {
  auto finished = std::move(errands_.extract(id).mapped());
  release(finished->source);
  std::string message;
  if (!outcome.answer.empty()) {
    first_server_ = outcome.server;
    message = translate(*finished, outcome.answer);
  }
  if (message.empty()) {
    options_.counts->upstream_failures.add();
    message = bare_answer(finished->question, rcode::server_failure);
  }
  const auto header = wire::read_dns_header(message);
  options_.counts->answered(header.rcode());
  if (header.has(wire::dns_truncated))
    options_.counts->truncated.add();
  answer(finished->back, message);
  done_.push_back(std::move(finished));
}

/// @return the client's answer; empty: what the name server says cannot be read
std::string server::engine::translate(const errand& of, std::string_view answer) {
  const auto stripped = stripper_.strip(answer, rewritten_);
  if (!stripped)
    return {};
  options_.counts->ech_removed.add(stripped->removed);
  // A client that wants no answer checked might be told what no other would be.
  if (!of.question.header.has(wire::dns_checking_disabled))
    if (const auto told = read_told(rewritten_))
      remember(*options_.told, *told, loop_->now());
  return client_answer(of.question, rewritten_, stripped->edns,
                       of.back.by_udp() ? of.question.most_by_udp() : wire::dns_max_message);
}

void server::engine::answer(const way_back& back, std::string_view message) {
  if (!back.by_udp()) {
    if (auto found = clients_.find(back.connection); found != clients_.end())
      found->second->answer(message);
    return;
  }
  const auto to = net::to_socket_address(back.to);
  writer_.begin({.fd = back.fd, .to = &to, .from = back.from ? &*back.from : nullptr});
  writer_.add(message, 0);
  static_cast<void>(writer_.finish()); // what is lost is asked again
}

server::server(std::unique_ptr<engine> made) : engine_(std::move(made)) {}

server::~server() = default;

result<std::unique_ptr<server>> server::start(server_options options) {
  if (options.to.servers.empty())
    return fail(errc::invalid_argument, "no name server to ask");
  auto loop = net::event_loop::create();
  if (!loop)
    return tl::unexpected(loop.error());
  const auto listen = options.listen;
  auto made = std::make_unique<engine>(std::move(options), *std::move(loop));
  for (const auto& at : listen)
    if (auto listening = made->listen(at); !listening)
      return tl::unexpected(listening.error());
  made->run();
  return std::unique_ptr<server>(new server(std::move(made)));
}

const std::vector<net::endpoint>& server::local() const noexcept {
  return engine_->local();
}

} // namespace marchproxy::dns
