// SPDX-License-Identifier: AGPL-3.0-only
// What is sent encrypted by the kernel where it can, against OpenSSL's own client over TCP. Where
// the kernel can't, the same connections by OpenSSL.
#include "nodes/tls/channels.test.hpp"

#include <netinet/in.h>

namespace marchproxy::tls::testing {
namespace {

class kernel_channels : public channels {
protected:
  kernel_channels() {
    auto store = certificate_store::open({files.path, clients}, [](const std::string&) {});
    EXPECT_TRUE(store);
    ours = *acceptor::create(std::move(*store), encryption::kernel_may_too);
  }
  void connect() {
    const auto listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* address = reinterpret_cast<sockaddr*>(&at);
    ASSERT_EQ(bind(listener, address, size), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    ASSERT_EQ(getsockname(listener, address, &size), 0);
    const auto client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(client, address, size), 0);
    take(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), client);
    ::close(listener);
  }
  /// The server's end writes all of it.
  [[nodiscard]] bool say(channel& end, std::string_view text) const {
    while (!text.empty()) {
      const auto put = end.write(text);
      if (put.how == step::done)
        text.remove_prefix(put.bytes);
      else if (put.how != step::wants_write || !wait(server_fd, put.how))
        return false;
    }
    return true;
  }
};

TEST_F(kernel_channels, say_the_same_as_those_of_the_library) {
  const std::string much(3'000'000, 'm');
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version == TLS1_2_VERSION ? "TLS 1.2" : "TLS 1.3");
    ASSERT_NO_FATAL_FAILURE(connect());
    client peer{client_fd, {.trusts = &ca, .server_name = "b.test", .version = version}};
    const auto server = meet(peer);
    ASSERT_EQ(server.how, step::done) << server.end->problem();
    EXPECT_EQ(server.end->sends_by_kernel(), kernel_tls::is_offered());
    ASSERT_TRUE(peer.send("hello"));
    ASSERT_TRUE(wait(server_fd, step::wants_read));
    std::array<char, 8> some{};
    EXPECT_EQ(server.end->read(some).bytes, 5U);
    bool all_said = false;
    std::thread speaker{[&] { all_said = say(*server.end, much); }};
    EXPECT_EQ(peer.exactly(much.size()), much);
    speaker.join();
    EXPECT_TRUE(all_said);
    EXPECT_FALSE(server.end->holds_record());
    // The other kinds of records: tickets came before, an alert says the end.
    EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get0_session(peer.ssl())), 1);
    EXPECT_EQ(server.end->end(), step::done);
    EXPECT_EQ(peer.all(), "");
    EXPECT_EQ(peer.end, "close_notify");
  }
}

TEST_F(kernel_channels, resume_sessions) {
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version == TLS1_2_VERSION ? "TLS 1.2" : "TLS 1.3");
    std::unique_ptr<client> before; // its session ends with it
    for (const auto again : {false, true}) {
      ASSERT_NO_FATAL_FAILURE(connect());
      auto peer = std::make_unique<client>(
        client_fd, client_wish{.server_name = "a.test",
                               .version = version,
                               .resumes = before ? before->session.get() : nullptr});
      const auto server = meet(*peer);
      ASSERT_EQ(server.how, step::done) << server.end->problem();
      EXPECT_EQ(server.end->resumed(), again);
      ASSERT_TRUE(say(*server.end, "hi"));
      EXPECT_EQ(peer->exactly(2), "hi");
      before = std::move(peer);
    }
  }
}

TEST_F(kernel_channels, know_a_peer_that_has_gone) {
  ASSERT_NO_FATAL_FAILURE(connect());
  client peer{client_fd, {.server_name = "a.test"}};
  const auto server = meet(peer);
  ASSERT_EQ(server.how, step::done);
  linger at_once{1, 0};
  setsockopt(peer.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  peer.close();
  ASSERT_TRUE(wait(server_fd, step::wants_read));
  EXPECT_EQ(server.end->write("hello").how, step::failed);
  EXPECT_NE(server.end->problem(), "");
  EXPECT_EQ(server.end->end(), step::failed);
}

} // namespace
} // namespace marchproxy::tls::testing
