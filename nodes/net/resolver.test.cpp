// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/net/resolver.hpp"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace marchproxy::net {
namespace {

using namespace std::chrono_literals;

/// A name server on loopback that answers A and AAAA from a table, NXDOMAIN else, and nothing for
/// `silent.test`.
class name_server final : public io_handler {
public:
  explicit name_server(event_loop& loop) : loop_(loop) {
    fd_ = unique_fd{socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
    auto at = to_socket_address({*parse_ip("127.0.0.1"), 0});
    EXPECT_EQ(bind(fd_.get(), at.get(), at.size), 0);
    EXPECT_TRUE(loop.add(fd_.get(), EPOLLIN, *this));
  }
  ~name_server() { loop_.remove(fd_.get(), *this); }

  void on_io(std::uint32_t) override {
    char in[512];
    socket_address from;
    from.size = sizeof from.storage;
    auto n = recvfrom(fd_.get(), in, sizeof in, 0, from.get(), &from.size);
    if (n < 17)
      return;
    std::string query{in, static_cast<std::size_t>(n)};
    std::string name;
    std::size_t at = 12;
    while (query[at] != 0) {
      auto size = static_cast<std::size_t>(query[at]);
      name += (name.empty() ? "" : ".") + query.substr(at + 1, size);
      at += size + 1;
    }
    auto type = query[at + 2];
    asked.push_back(name);
    if (name == "silent.test")
      return;
    auto reply = answer(query.substr(0, 2), query.substr(12, at + 5 - 12), name, type);
    sendto(fd_.get(), reply.data(), reply.size(), 0, from.get(), from.size);
  }

  [[nodiscard]] std::string address() const { return to_string(local_endpoint(fd_.get())); }

  std::map<std::string, std::vector<std::string>> table;
  std::vector<std::string> asked;

private:
  std::string
  answer(const std::string& id, const std::string& question, const std::string& name, char type) {
    std::string records;
    char count = 0;
    for (const auto& text : table[name]) {
      auto address = *parse_ip(text);
      auto v4 = address.family == ip_family::v4;
      if (type != (v4 ? 1 : 28))
        continue;
      char size = v4 ? 4 : 16;
      records += std::string{"\xc0\x0c\x00", 3} + type
                 + std::string{"\x00\x01\x00\x00\x00\x3c\x00", 7} + size;
      records.append(reinterpret_cast<const char*>(address.bytes.data()),
                     static_cast<std::size_t>(size));
      ++count;
    }
    char code = table[name].empty() ? 3 : 0;
    return id + "\x81" + static_cast<char>(0x80 | code) + std::string{"\x00\x01\x00", 3} + count
           + std::string(4, '\0') + question + records;
  }

  event_loop& loop_;
  unique_fd fd_;
};

class resolving : public testing::Test {
protected:
  resolving() {
    auto created = event_loop::create();
    EXPECT_TRUE(created);
    loop = std::move(*created);
    server = std::make_unique<name_server>(*loop);
    hosts = std::filesystem::temp_directory_path() / ("hosts_" + std::to_string(getpid()));
    write_hosts("# comment\n10.9.8.7 Fixed.test alias.test # more\n::1 fixed.test\nbad line\n");
    resolver_options options;
    options.hosts_path = hosts;
    options.servers = server->address();
    options.timeout = 100ms;
    options.tries = 1;
    auto made = resolver::create(*loop, options);
    EXPECT_TRUE(made);
    under_test = std::move(*made);
  }
  ~resolving() override { std::filesystem::remove(hosts); }

  void write_hosts(const std::string& text) { std::ofstream{hosts} << text; }

  resolve_result ask(std::string_view name) {
    resolution question;
    std::optional<resolve_result> answer;
    under_test->resolve(name, question, [&](resolve_result r) { answer = std::move(r); });
    EXPECT_FALSE(answer) << "answered from within resolve()";
    auto deadline = clock::now() + 5s;
    while (!answer && clock::now() < deadline)
      loop->run_once(50ms);
    EXPECT_TRUE(answer);
    return answer.value_or(fail(errc::internal, "no answer"));
  }

  std::vector<std::string> texts(const resolve_result& r) {
    std::vector<std::string> out;
    if (r)
      for (const auto& a : *r)
        out.push_back(to_string(a));
    std::sort(out.begin(), out.end());
    return out;
  }

  std::unique_ptr<event_loop> loop;
  std::unique_ptr<name_server> server;
  std::filesystem::path hosts;
  std::unique_ptr<resolver> under_test;
  using strings = std::vector<std::string>;
};

TEST_F(resolving, asks_for_both_families) {
  server->table["both.test"] = {"192.0.2.1", "192.0.2.2", "2001:db8::1"};
  EXPECT_EQ(texts(ask("both.test")), (strings{"192.0.2.1", "192.0.2.2", "2001:db8::1"}));
  server->table["six.test"] = {"2001:db8::6"};
  EXPECT_EQ(texts(ask("six.test")), strings{"2001:db8::6"});
}

TEST_F(resolving, the_hosts_file_wins_and_is_read_again) {
  server->table["fixed.test"] = {"192.0.2.1"};
  EXPECT_EQ(texts(ask("fixed.test")), (strings{"10.9.8.7", "::1"}));
  EXPECT_EQ(texts(ask("alias.test")), strings{"10.9.8.7"});
  EXPECT_TRUE(server->asked.empty());
  write_hosts("10.1.1.1 fixed.test\n");
  EXPECT_EQ(texts(ask("fixed.test")), strings{"10.1.1.1"});
  std::filesystem::remove(hosts);
  EXPECT_EQ(texts(ask("fixed.test")), strings{"192.0.2.1"});
}

TEST_F(resolving, asks_for_the_name_as_it_stands) {
  auto answer = ask("bare");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, errc::not_found);
  for (const auto& name : server->asked)
    EXPECT_EQ(name, "bare");
}

TEST_F(resolving, a_silent_server_is_a_timeout) {
  auto answer = ask("silent.test");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, errc::timeout);
}

TEST_F(resolving, a_dropped_question_is_not_answered) {
  auto question = std::make_unique<resolution>();
  under_test->resolve("silent.test", *question, [](resolve_result) { FAIL(); });
  question.reset();
  auto from_hosts = std::make_unique<resolution>();
  under_test->resolve("fixed.test", *from_hosts, [](resolve_result) { FAIL(); });
  from_hosts.reset();
  auto pending = std::make_unique<resolution>();
  under_test->resolve("silent.test", *pending, [&](resolve_result) { pending.reset(); });
  auto deadline = clock::now() + 5s;
  while (pending && clock::now() < deadline)
    loop->run_once(50ms);
  EXPECT_FALSE(pending);
}

TEST_F(resolving, bad_servers_are_refused) {
  resolver_options options;
  options.servers = "not an address";
  EXPECT_FALSE(resolver::create(*loop, options));
}

} // namespace
} // namespace marchproxy::net
