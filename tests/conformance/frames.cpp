// SPDX-License-Identifier: AGPL-3.0-only
// Random frames, most of them malformed in some way, through the packet programs in the kernel
// (BPF_PROG_TEST_RUN) and through the packet worker's reading and lookup: what each reads of a
// frame has to be what a model says that it is, and its verdict the reference evaluator's. Any
// difference fails.
//   conformance_frames [--policies N] [--frames N] [--seed N]
#include "bpf/test/frames.hpp"

#include "bpf/loader/tier.hpp"
#include "dpdk/worker/judge.hpp"
#include "tests/support/options.hpp"
#include "tests/support/packet_model.hpp"
#include "tests/support/random_policy.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <string>

using namespace marchproxy;

namespace {

using bytes = tier_ebpf::testing::bytes;
using hook = tier_ebpf::tier::hook;
namespace parts = tier_ebpf::testing;

/// Frames of flows that a policy may know, with whatever can be in a frame.
class frame_generator {
public:
  explicit frame_generator(std::uint64_t seed) : random_(seed) {}

  bytes frame(const policy::flow& f) {
    auto ipv6 = f.source.family == ip_family::v6;
    auto protocol = protocol_of(f, ipv6);
    auto payload = transport(protocol, f.port);
    auto out = ipv6 ? v6(f, protocol, payload) : v4(f, protocol, payload);
    for (auto tags = chance(0.1) ? 1 + below(3) : 0; tags > 0; --tags)
      add_tag(out);
    constexpr std::size_t longest = 1514;
    out.resize(std::min(out.size(), longest));
    if (chance(0.15))
      out.resize(14 + below(static_cast<unsigned>(out.size() - 13)));
    // Not the link addresses: the kernel takes no frames for others.
    for (auto flips = chance(0.3) ? 1 + below(3) : 0; flips > 0 && out.size() > 12; --flips)
      out[12 + below(static_cast<unsigned>(out.size() - 12))] = std::byte{random_byte()};
    return out;
  }

private:
  bool chance(double share) { return std::uniform_real_distribution<>{}(random_) < share; }
  unsigned below(unsigned bound) {
    return std::uniform_int_distribution<unsigned>{0, bound - 1}(random_);
  }
  unsigned char random_byte() { return static_cast<unsigned char>(below(256)); }
  std::uint16_t port() { return static_cast<std::uint16_t>(below(65536)); }
  int lie() { return chance(0.08) ? static_cast<int>(below(41)) - 20 : 0; }

  unsigned protocol_of(const policy::flow& f, bool ipv6) {
    if (chance(0.1))
      return below(256);
    if (f.protocol == model::protocol::icmp)
      return ipv6 ? unsigned{IPPROTO_ICMPV6} : unsigned{IPPROTO_ICMP};
    return f.protocol == model::protocol::tcp ? IPPROTO_TCP : IPPROTO_UDP;
  }

  bytes transport(unsigned protocol, std::uint16_t to) {
    if (protocol == IPPROTO_TCP)
      return parts::tcp({.from = port(),
                         .to = to,
                         .flags = below(64),
                         .words = chance(0.1) ? below(16) : 5,
                         .payload = below(64)});
    if (protocol == IPPROTO_UDP)
      return parts::udp(port(), to, below(64), lie());
    if (protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6)
      return parts::zeros(below(64));
    constexpr std::array<unsigned, 12> types{0, 1, 2, 3, 5, 8, 11, 12, 128, 129, 135, 200};
    return parts::icmp(types[below(types.size())], port());
  }

  bytes v4(const policy::flow& f, unsigned protocol, const bytes& payload) {
    auto from = to_string(f.source), to = to_string(*f.destination);
    constexpr std::array<unsigned, 5> fragments{0x2000, 0x2001, 0x0003, 0x4000, 0x2005};
    return parts::ipv4({.from = from,
                        .to = to,
                        .protocol = protocol,
                        .fragment = chance(0.15) ? fragments[below(fragments.size())] : 0,
                        .id = below(4),
                        .options = chance(0.15) ? 4 * below(11) : 0,
                        .length_lie = lie(),
                        .header_words = chance(0.05) ? below(16) : 0,
                        .version = chance(0.03) ? below(16) : 4},
                       payload);
  }

  bytes v6(const policy::flow& f, unsigned protocol, bytes payload) {
    auto next = protocol;
    for (auto headers = chance(0.4) ? below(8) : 0; headers > 0; --headers) {
      constexpr std::array<unsigned, 4> kinds{IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
                                              IPPROTO_FRAGMENT};
      using parts::operator+;
      auto kind = kinds[below(kinds.size())];
      payload = (kind == IPPROTO_FRAGMENT
                   ? parts::fragment_header(next, chance(0.5) ? below(2) : below(65536), below(4))
                   : parts::extension(next, chance(0.1) ? below(256) : below(3),
                                      kind == IPPROTO_ROUTING && chance(0.2) ? below(3) : 0))
                + payload;
      next = kind;
    }
    auto from = to_string(f.source), to = to_string(*f.destination);
    return parts::ipv6({.from = from,
                        .to = to,
                        .next = next,
                        .length_lie = lie(),
                        .hop_limit = chance(0.2) ? 255U : below(256)},
                       payload);
  }

  void add_tag(bytes& frame) {
    bytes tag;
    parts::put16(tag, chance(0.5) ? 0x8100 : 0x88a8);
    parts::put16(tag, below(65536));
    frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  }

  std::mt19937_64 random_;
};

ip_address address_of(const testing::modelled_packet::address& a) {
  return ip_address::v6(a);
}

/// The flow of a packet that belongs to no connection.
policy::flow flow_of(const testing::modelled_packet& p) {
  policy::flow out;
  out.protocol = p.protocol == IPPROTO_TCP   ? model::protocol::tcp
                 : p.protocol == IPPROTO_UDP ? model::protocol::udp
                                             : model::protocol::icmp;
  out.source = address_of(p.source);
  out.destination = address_of(p.destination);
  if (out.protocol != model::protocol::icmp)
    out.port = p.destination_port;
  if (p.icmp_error) {
    out = {address_of(p.reporter), address_of(p.source), {}, model::protocol::icmp, 0};
  }
  return out;
}

std::string_view outcome_of(const policy::verdict& v) {
  if (v.observe && (!v.allowed() || v.auth_required))
    return "observed";
  if (v.allowed())
    return v.auth_required ? "denied_auth" : "allowed";
  return v.mapping ? "denied_mapping" : "denied_implicit";
}

struct counts {
  std::uint64_t frames = 0;
  std::uint64_t judged = 0; ///< with a verdict
  std::uint64_t differences = 0;
  std::map<std::string, std::uint64_t> outcomes;
};

using answer = result<tier_ebpf::tier::frame_verdict>;

/// As tier_ebpf::tier::judge_frame, by the packet worker's parts.
answer judge_by_worker(const policy::program& program, const bytes& frame) {
  // A copy of its very size: AddressSanitizer sees what reads beyond.
  auto copy = frame;
  packet_port::frame f{copy.data(), static_cast<std::uint32_t>(copy.size()), 0};
  mp_packet p{};
  auto name = [](std::uint32_t outcome) {
    return tier_ebpf::text_of(static_cast<mp_total>(outcome)).name;
  };
  auto outcome = mp_parse_link(f, &p);
  if (outcome == MP_PARSED)
    outcome = mp_parse_transport_of(f, &p);
  if (outcome == MP_PARSED && p.fragment == MP_FRAGMENT_LATER)
    outcome = MP_TOTAL_fragments;
  if (outcome != MP_PARSED)
    return tier_ebpf::tier::frame_verdict{name(outcome), {}};
  if (p.icmp_error != 0)
    mp_forget_quote(&p);
  auto rule = packet_worker::decide(program.image().data(), p.tuple);
  auto word = MP_VERDICT(program.revision().value, rule.mapping, rule.flags);
  auto verdict = tier_ebpf::parts_of(word).verdict;
  verdict.revision = program.revision();
  return tier_ebpf::tier::frame_verdict{name(mp_outcome_of(word)), verdict};
}

/// @param tags  whether who answers looks behind VLAN tags
void compare(const char* who,
             const answer& got,
             const model::ruleset& rules,
             bool tags,
             const bytes& frame,
             counts& sum) {
  auto model = testing::model_packet(
    {reinterpret_cast<const std::uint8_t*>(frame.data()), frame.size()}, tags);
  auto wanted = model.outcome;
  policy::verdict verdict;
  if (wanted.empty() && model.later_fragment) {
    wanted = "fragments";
  } else if (wanted.empty()) {
    verdict = policy::reference_decide(rules, flow_of(model));
    wanted = outcome_of(verdict);
    ++sum.judged;
  }
  constexpr std::size_t least = 14 + 40;
  if (!got && got.error().code == errc::invalid_argument && frame.size() < least)
    return; // the kernel makes no packet of so little for a test run
  ++sum.frames;
  if (got && got->outcome == wanted
      && (!model.outcome.empty() || model.later_fragment || got->verdict == verdict)) {
    ++sum.outcomes[std::string{wanted}];
    return;
  }
  ++sum.differences;
  std::fprintf(stderr, "%s: %s instead of %s:", who,
               got ? std::string{got->outcome}.c_str() : to_string(got.error()).c_str(),
               std::string{wanted}.c_str());
  for (auto b : frame)
    std::fprintf(stderr, " %02x", static_cast<unsigned>(b));
  std::fputc('\n', stderr);
}

} // namespace

int main(int argc, char** argv) {
  testing::options options{argc, argv};
  auto policies = options.number("--policies", 20);
  auto frames = options.number("--frames", 20000);
  auto seed = options.number("--seed", 1);
  if (::geteuid() != 0) {
    std::fprintf(stderr, "left out: it needs root\n");
    return 0;
  }
  auto kernel = tier_ebpf::tier::load();
  auto ready = kernel ? (*kernel)->load_xdp() : tl::unexpected(kernel.error());
  if (!ready) {
    std::fprintf(stderr, "the packet programs cannot be loaded: %s\n",
                 to_string(ready.error()).c_str());
    return 1;
  }
  counts sum;
  for (std::uint64_t i = 0; i < policies; ++i) {
    testing::policy_generator random{seed * 1'000'003 + i};
    testing::policy_shape shape;
    shape.mappings = 1 + i * 7 % 60;
    shape.services = 2 + i * 5 % 40;
    auto rules = random.ruleset(shape, i + 1);
    auto program = policy::program::compile(rules);
    auto done = program ? (*kernel)->prepare(*program) : tl::unexpected(program.error());
    if (done)
      done = (*kernel)->commit();
    if (!done) {
      std::fprintf(stderr, "policy %lu: %s\n", static_cast<unsigned long>(i),
                   to_string(done.error()).c_str());
      return 1;
    }
    frame_generator generator{seed * 7'000'003 + i};
    for (const auto& f : random.flows(*rules, (frames + policies - 1) / policies, false)) {
      if (!f.flow.destination || f.flow.destination->family != f.flow.source.family)
        continue;
      auto frame = generator.frame(f.flow);
      compare("tc", (*kernel)->judge_frame(hook::tc, frame), *rules, false, frame, sum);
      compare("xdp", (*kernel)->judge_frame(hook::xdp, frame), *rules, true, frame, sum);
      compare("packet worker", judge_by_worker(**program, frame), *rules, true, frame, sum);
    }
  }
  auto varied = sum.judged * 10 > sum.frames;
  for (const auto* outcome : {"malformed", "fragments", "unsupported_protocol", "passed_link",
                              "allowed", "denied_mapping", "denied_implicit"})
    varied = varied && sum.outcomes[outcome] > 0;
  auto ok = sum.differences == 0 && varied;
  std::printf("{\"name\":\"conformance_frames\",\"seed\":%lu,\"policies\":%lu,\"frames\":%lu",
              static_cast<unsigned long>(seed), static_cast<unsigned long>(policies),
              static_cast<unsigned long>(sum.frames));
  for (const auto& [name, count] : sum.outcomes)
    std::printf(",\"%s\":%lu", name.c_str(), static_cast<unsigned long>(count));
  std::printf(",\"differences\":%lu,\"ok\":%s}\n", static_cast<unsigned long>(sum.differences),
              ok ? "true" : "false");
  return ok ? 0 : 1;
}
