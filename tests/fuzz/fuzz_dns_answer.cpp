// SPDX-License-Identifier: AGPL-3.0-only
// What a name server answers, through c-ares and our reading of what it made of it. The input is an
// answer without its id and question: flags, three counts, and all that follows the question.
#include "nodes/net/resolver.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

using namespace marchproxy;
using namespace std::chrono_literals;

namespace {

/// Answers every question, A and AAAA, with the bytes at hand.
class name_server final : public net::io_handler {
public:
  explicit name_server(net::event_loop& loop)
    : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    auto at = net::to_socket_address({*parse_ip("127.0.0.1"), 0});
    MP_INVARIANT(bind(fd_.get(), at.get(), at.size) == 0);
    MP_INVARIANT(loop.add(fd_.get(), EPOLLIN, *this).has_value());
  }
  void on_io(std::uint32_t) override {
    char question[512];
    net::socket_address from;
    from.size = sizeof from.storage;
    auto n = recvfrom(fd_.get(), question, sizeof question, 0, from.get(), &from.size);
    if (n < 12)
      return;
    ++asked;
    std::string_view in{question, static_cast<std::size_t>(n)};
    auto head = answer.substr(0, 8);
    head.resize(8, '\0');
    auto rest = answer.size() > 8 ? answer.substr(8) : std::string{};
    auto out = std::string{in.substr(0, 2)} + head.substr(0, 2) + std::string{"\0\1", 2}
               + head.substr(2) + std::string{in.substr(12)} + rest;
    sendto(fd_.get(), out.data(), out.size(), 0, from.get(), from.size);
  }
  [[nodiscard]] std::string address() const {
    return net::to_string(net::local_endpoint(fd_.get()));
  }

  std::string answer;
  std::size_t asked = 0;

private:
  net::unique_fd fd_;
};

struct bench {
  bench() : loop(*net::event_loop::create()), server(*loop) {
    net::resolver_options options;
    options.hosts_path = "/dev/null";
    options.servers = server.address();
    options.timeout = 20ms;
    options.tries = 1;
    options.leases =
      std::make_shared<net::lease_store>(net::lease_terms{.longest = longest, .most_names = 16});
    auto made = net::resolver::create(*loop, options);
    MP_INVARIANT(made.has_value());
    resolver = std::move(*made);
  }
  net::resolve_result ask(const std::string& name) {
    net::resolution question;
    std::optional<net::resolve_result> answer;
    resolver->resolve(name, question, [&](net::resolve_result r) { answer = std::move(r); });
    while (!answer)
      loop->run_once(50ms);
    return std::move(*answer);
  }

  static constexpr std::chrono::seconds longest{100};
  std::unique_ptr<net::event_loop> loop;
  name_server server;
  std::unique_ptr<net::resolver> resolver;
  std::uint32_t names = 10'000'000; ///< all of one length
};

} // namespace

/// Whatever is answered: addresses within bounds and a lease within its terms, or an error of the
/// three that callers know; and asked again, the lease answers where there is one, else the server.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static bench b;
  b.server.answer.assign(reinterpret_cast<const char*>(data), std::min<std::size_t>(size, 32'768));
  const auto name = "n" + std::to_string(b.names++) + ".test";
  const auto before = wall_now();
  const auto first = b.ask(name);
  const auto after = wall_now();
  const auto asked = b.server.asked;
  MP_INVARIANT(asked > 0);
  const auto again = b.ask(name);
  const auto known = b.server.asked == asked;
  if (!first) {
    const auto code = first.error().code;
    MP_INVARIANT(code == errc::not_found || code == errc::unavailable || code == errc::timeout);
    MP_INVARIANT(known == (code == errc::not_found));
    return 0;
  }
  MP_INVARIANT(!first->addresses.empty());
  MP_INVARIANT(first->addresses.size() <= net::lease::most_addresses);
  MP_INVARIANT(first->lease_ends.has_value());
  MP_INVARIANT(before <= *first->lease_ends && *first->lease_ends <= after + bench::longest);
  MP_INVARIANT(known == (*first->lease_ends >= before + 1s));
  if (known)
    MP_INVARIANT(again && again->addresses == first->addresses
                 && again->lease_ends == first->lease_ends);
  return 0;
}
