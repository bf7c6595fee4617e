// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/netd/service.hpp"

#include "bpf/abi/rules.h"
#include "nodes/netd/remote.hpp"
#include "nodes/netd/remote_installer.hpp"
#include "nodes/netd/remote_sockets.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace marchproxy::netd {
namespace {

using tier_ebpf::descriptor;
using tier_ebpf::loaded_object;

descriptor some_descriptor() {
  return descriptor{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

/// Notes what it is asked for; touches no kernel.
class recorder final : public tier_ebpf::installer {
public:
  explicit recorder(std::vector<std::string>& to) : to_(to) {}
  [[nodiscard]] tier_ebpf::probe_report probe() override { return {}; }
  [[nodiscard]] result<loaded_object> load_tc(const tier_ebpf::load_options& o) override {
    to_.push_back("load_tc " + std::to_string(o.connections));
    if (o.connections == 13)
      return fail(errc::unsupported, "the verifier says no");
    loaded_object out;
    out.programs.emplace("mp_ingress", some_descriptor());
    out.maps.emplace("flows", some_descriptor());
    out.maps.emplace("images", some_descriptor());
    return out;
  }
  [[nodiscard]] result<loaded_object> load_xdp() override {
    to_.emplace_back("load_xdp");
    return loaded_object{};
  }
  [[nodiscard]] result<descriptor> make_image(std::span<const std::byte> image) override {
    to_.push_back("image " + std::to_string(image.size()) + " "
                  + std::to_string(static_cast<int>(image.back())));
    return some_descriptor();
  }
  [[nodiscard]] result<descriptor> make_counter_block() override { return some_descriptor(); }
  [[nodiscard]] result<void> attach_tc(int ifindex) override { return note("attach_tc", ifindex); }
  [[nodiscard]] result<void> detach_tc(int ifindex) override { return note("detach_tc", ifindex); }
  [[nodiscard]] result<void> attach_xdp(int ifindex, tier_ebpf::xdp_mode) override {
    return note("attach_xdp", ifindex);
  }
  [[nodiscard]] result<void> detach_xdp(int ifindex, tier_ebpf::xdp_mode) override {
    return note("detach_xdp", ifindex);
  }
  [[nodiscard]] result<void> clear_xdp(int ifindex) override { return note("clear_xdp", ifindex); }

private:
  [[nodiscard]] result<void> note(const char* what, int ifindex) {
    to_.push_back(std::string{what} + " " + std::to_string(ifindex));
    return {};
  }
  std::vector<std::string>& to_;
};

/// Both ends in this process.
struct talk {
  std::vector<std::string> asked;
  int raw = -1; ///< the client's end, beside the remote
  std::jthread server;
  std::shared_ptr<remote> to; ///< last: its end is the server's

  explicit talk(bool sockets = false) {
    std::array<int, 2> pair{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
    raw = pair[0];
    server = std::jthread{[this, sockets, theirs = pair[1]] {
      packet_service packets{std::make_unique<recorder>(asked), {{{"kernel", true, "seen"}}}};
      serve(net::local_channel{net::unique_fd{theirs}}, [&](const request& r, net::unique_fd fd) {
        return sockets ? handle_socket(r, std::move(fd)) : packets.handle(r, std::move(fd));
      });
    }};
    auto met = remote::meet(net::local_channel{net::unique_fd{pair[0]}});
    EXPECT_TRUE(met);
    to = *met;
  }
};

TEST(netd_service, programs_and_maps_come_by_their_names) {
  talk t;
  auto installer = remote_installer(t.to);
  auto object = installer->load_tc({.connections = 77});
  ASSERT_TRUE(object) << to_string(object.error());
  EXPECT_GE(object->program("mp_ingress"), 0);
  EXPECT_GE(object->map("flows"), 0);
  EXPECT_GE(object->map("images"), 0);
  EXPECT_EQ(object->map("mp_ingress"), -1);
  EXPECT_EQ(t.asked, std::vector<std::string>{"load_tc 77"});
  EXPECT_EQ(installer->probe().reason(), "usable");
}

TEST(netd_service, an_image_goes_over_whole) {
  talk t;
  auto installer = remote_installer(t.to);
  std::vector<std::byte> image(300 * MP_PAGE_SIZE);
  image.back() = std::byte{42};
  ASSERT_TRUE(installer->make_image(image));
  EXPECT_EQ(t.asked.back(), "image " + std::to_string(image.size()) + " 42");
}

TEST(netd_service, an_image_without_a_file_or_with_a_short_one_is_refused) {
  talk t;
  EXPECT_EQ(t.to->ask(make_image{1}).error().code, errc::refused);
  auto empty = net::unique_fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  EXPECT_EQ(t.to->ask(make_image{1}, empty.get()).error().code, errc::invalid_argument);
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  net::unique_fd reading{pipe[0]};
  net::unique_fd writing{pipe[1]};
  EXPECT_EQ(t.to->ask(make_image{1}, reading.get()).error().code, errc::invalid_argument);
  EXPECT_TRUE(t.asked.empty());
}

TEST(netd_service, what_is_out_of_order_is_refused_and_the_talk_goes_on) {
  talk t;
  auto installer = remote_installer(t.to);
  EXPECT_EQ(installer->attach_tc(2).error().code, errc::refused);
  EXPECT_EQ(installer->clear_xdp(2).error().code, errc::refused);
  EXPECT_EQ(installer->load_xdp().error().code, errc::refused);
  EXPECT_EQ(installer->attach_xdp(2, {}).error().code, errc::refused);
  ASSERT_TRUE(installer->load_tc({}));
  EXPECT_EQ(installer->load_tc({}).error().code, errc::refused);
  EXPECT_EQ(installer->attach_xdp(2, {}).error().code, errc::refused);
  ASSERT_TRUE(installer->load_xdp());
  EXPECT_EQ(installer->load_xdp().error().code, errc::refused);
  EXPECT_TRUE(installer->attach_tc(2));
  EXPECT_TRUE(installer->clear_xdp(2));
  EXPECT_TRUE(installer->attach_xdp(3, {}));
  EXPECT_TRUE(installer->detach_xdp(3, {}));
  EXPECT_TRUE(installer->detach_tc(2));
  EXPECT_EQ(t.asked,
            (std::vector<std::string>{"load_tc 262144", "load_xdp", "attach_tc 2", "clear_xdp 2",
                                      "attach_xdp 3", "detach_xdp 3", "detach_tc 2"}));
}

TEST(netd_service, a_failure_says_what_the_kernel_said_and_may_be_tried_again) {
  talk t;
  auto installer = remote_installer(t.to);
  auto failed = installer->load_tc({.connections = 13});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error(), (error{errc::unsupported, "the verifier says no", {}}));
  EXPECT_TRUE(installer->load_tc({.connections = 14}));
}

TEST(netd_service, each_channel_does_its_own_and_nothing_else) {
  talk packets;
  EXPECT_EQ(packets.to->ask(listen_tcp{{ip_address::v4(0x7f000001), 0}, {}}).error().code,
            errc::unsupported);
  talk sockets{true};
  EXPECT_EQ(sockets.to->ask(load_tc{}).error().code, errc::unsupported);
  EXPECT_EQ(sockets.to->ask(attach_tc{1}).error().code, errc::unsupported);
  EXPECT_TRUE(sockets.asked.empty());
}

TEST(netd_service, sockets_come_open) {
  talk t{true};
  auto broker = remote_sockets(t.to);
  auto tcp = broker->listen_tcp({ip_address::v4(0x7f000001), 0}, {});
  ASSERT_TRUE(tcp) << to_string(tcp.error());
  EXPECT_NE(net::local_endpoint(tcp->get()).port, 0);
  auto udp = broker->bind_udp({ip_address::v4(0x7f000001), 0}, {});
  ASSERT_TRUE(udp);
  EXPECT_TRUE(net::is_datagram(udp->get()));
  auto taken = broker->listen_tcp(net::local_endpoint(tcp->get()), {.reuse_port = false});
  EXPECT_EQ(taken.error().code, errc::conflict);
  EXPECT_EQ(t.to->ask(widen_receive_buffer{4096}).error().code, errc::refused);
}

TEST(netd_service, bytes_that_are_no_request_are_answered_and_the_talk_goes_on) {
  talk t;
  for (const auto& bytes : {std::string{"?"}, std::string(4096, '\xff'), std::string(5000, 'x')}) {
    ASSERT_EQ(::send(t.raw, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    std::array<char, 4096> buffer{};
    const auto got = ::recv(t.raw, buffer.data(), buffer.size(), 0);
    ASSERT_GT(got, 0);
    auto said = decode_reply({buffer.data(), static_cast<std::size_t>(got)});
    ASSERT_TRUE(said);
    EXPECT_TRUE(std::holds_alternative<error>(*said));
  }
  EXPECT_TRUE(t.to->ask(probe{}));
}

TEST(netd_service, who_asks_a_process_that_has_ended_is_told_so_each_time) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  net::local_channel theirs{net::unique_fd{pair[1]}};
  ASSERT_TRUE(theirs.send(hello()));
  auto met = remote::meet(net::local_channel{net::unique_fd{pair[0]}});
  ASSERT_TRUE(met);
  theirs = net::local_channel{net::unique_fd{}};
  for (int i = 0; i < 2; ++i) {
    auto answered = (*met)->ask(probe{});
    ASSERT_FALSE(answered);
    EXPECT_EQ(answered.error().code, errc::unavailable);
    EXPECT_NE(answered.error().message.find("marchproxy-netd"), std::string::npos);
  }
}

TEST(netd_service, another_version_is_not_talked_to) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  net::local_channel theirs{net::unique_fd{pair[1]}};
  ASSERT_TRUE(theirs.send("marchproxy-netd v0.0.0.1"));
  auto met = remote::meet(net::local_channel{net::unique_fd{pair[0]}});
  ASSERT_FALSE(met);
  EXPECT_EQ(met.error().code, errc::unsupported);
}

} // namespace
} // namespace marchproxy::netd
