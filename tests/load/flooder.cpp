// SPDX-License-Identifier: AGPL-3.0-only
// Frames with random sources out of an interface, as many as asked for. Bounded in rate and time.
//   flooder INTERFACE LINK_ADDRESS DESTINATION PORT syn|udp PACKETS_A_SECOND SECONDS
// The sources are of 10.128.0.0/9. Prints {"sent": n}.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t burst = 64;
constexpr std::size_t payload = 8;

struct frame {
  std::array<unsigned char, 80> bytes{};
  std::size_t size = 0;
};

/// RFC 1071, of bytes in network order.
std::uint32_t add(std::uint32_t sum, const void* from, std::size_t size) {
  const auto* at = static_cast<const unsigned char*>(from);
  for (std::size_t i = 0; i + 1 < size; i += 2)
    sum += static_cast<std::uint32_t>(at[i] << 8 | at[i + 1]);
  return sum;
}
std::uint16_t fold(std::uint32_t sum) {
  while (sum >> 16 != 0)
    sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

frame make(
  const ether_header& link, in_addr to, std::uint16_t port, bool syn, std::mt19937& random) {
  frame out;
  const auto transport = syn ? sizeof(tcphdr) : sizeof(udphdr) + payload;
  iphdr ip{};
  ip.version = 4;
  ip.ihl = 5;
  ip.ttl = 64;
  ip.protocol = syn ? IPPROTO_TCP : IPPROTO_UDP;
  ip.tot_len = htons(static_cast<std::uint16_t>(sizeof ip + transport));
  ip.saddr = htonl(0x0a800000U | (random() & 0x7fffffU));
  ip.daddr = to.s_addr;
  ip.check = fold(add(0, &ip, sizeof ip));
  std::array<unsigned char, 32> head{};
  auto source = htons(static_cast<std::uint16_t>(1024 + random() % 60000));
  auto target = htons(port);
  std::memcpy(&head[0], &source, 2);
  std::memcpy(&head[2], &target, 2);
  if (syn) {
    head[12] = 5 << 4;
    head[13] = 0x02;
    head[14] = 0xff;
  } else {
    head[5] = static_cast<unsigned char>(transport);
  }
  auto sum = add(add(0, &ip.saddr, 8), head.data(), transport) + ip.protocol
             + static_cast<std::uint32_t>(transport);
  auto check = fold(sum);
  std::memcpy(&head[syn ? 16 : 6], &check, 2);
  out.size = sizeof link + sizeof ip + transport;
  std::memcpy(&out.bytes[0], &link, sizeof link);
  std::memcpy(&out.bytes[sizeof link], &ip, sizeof ip);
  std::memcpy(&out.bytes[sizeof link + sizeof ip], head.data(), transport);
  return out;
}

/// Sends a burst. @return how many frames left
std::size_t send(int fd, std::array<frame, burst>& frames) {
  std::array<iovec, burst> parts{};
  std::array<mmsghdr, burst> messages{};
  for (std::size_t i = 0; i < burst; ++i) {
    parts[i] = {frames[i].bytes.data(), frames[i].size};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  auto sent = ::sendmmsg(fd, messages.data(), burst, 0);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

bool parse_link_address(const char* text, unsigned char* to) {
  std::array<unsigned, ETH_ALEN> part{};
  if (std::sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &part[0], &part[1], &part[2], &part[3], &part[4],
                  &part[5])
      != ETH_ALEN)
    return false;
  for (std::size_t i = 0; i < part.size(); ++i)
    to[i] = static_cast<unsigned char>(part[i]);
  return true;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fputs("flooder INTERFACE LINK_ADDRESS DESTINATION PORT syn|udp PACKETS_A_SECOND SECONDS\n",
               stderr);
    return 2;
  }
  ether_header link{};
  in_addr to{};
  link.ether_type = htons(ETHERTYPE_IP);
  link.ether_shost[0] = 0x02;
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_ifindex = static_cast<int>(::if_nametoindex(argv[1]));
  auto fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (!parse_link_address(argv[2], &link.ether_dhost[0]) || ::inet_pton(AF_INET, argv[3], &to) != 1
      || at.sll_ifindex == 0 || fd < 0
      || ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) {
    std::perror("flooder");
    return 1;
  }
  const auto port = static_cast<std::uint16_t>(std::strtoul(argv[4], nullptr, 10));
  const auto syn = std::string_view{argv[5]} == "syn";
  const auto rate = std::strtod(argv[6], nullptr);
  const std::chrono::duration<double> seconds{std::strtod(argv[7], nullptr)};
  std::mt19937 random{1};
  std::array<frame, burst> frames;
  std::size_t sent = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (auto gone = begin - begin; gone < seconds; gone = std::chrono::steady_clock::now() - begin) {
    if (static_cast<double>(sent) > rate * std::chrono::duration<double>{gone}.count()) {
      std::this_thread::sleep_for(std::chrono::microseconds{200}); // it is ahead of its rate
      continue;
    }
    for (auto& f : frames)
      f = make(link, to, port, syn, random);
    sent += send(fd, frames);
  }
  std::printf("{\"sent\": %zu}\n", sent);
  return 0;
}
