// SPDX-License-Identifier: AGPL-3.0-only
// What marchproxy-netd is asked by a proxy that may have been taken over: messages, each with its
// length in a byte before it, and the service behind them.
#include "nodes/netd/service.hpp"

#include <cstdint>
#include <string_view>

using namespace marchproxy;

namespace {

/// Sees to it that nothing comes out of order or beyond its bounds.
class strict final : public tier_ebpf::installer {
public:
  [[nodiscard]] tier_ebpf::probe_report probe() override { return {}; }
  [[nodiscard]] result<tier_ebpf::loaded_object>
  load_tc(const tier_ebpf::load_options& options) override {
    MP_INVARIANT(!tc_ && options.connections >= 1 && options.connections_of_source >= 1
                 && options.connections <= netd::most_connections);
    tc_ = true;
    return tier_ebpf::loaded_object{};
  }
  [[nodiscard]] result<tier_ebpf::loaded_object> load_xdp() override {
    MP_INVARIANT(tc_ && !xdp_);
    xdp_ = true;
    return tier_ebpf::loaded_object{};
  }
  [[nodiscard]] result<tier_ebpf::descriptor> make_image(std::span<const std::byte>) override {
    constexpr bool a_file_came_with_it = false;
    MP_INVARIANT(a_file_came_with_it);
    return tier_ebpf::descriptor{};
  }
  [[nodiscard]] result<tier_ebpf::descriptor> make_counter_block() override {
    return tier_ebpf::descriptor{};
  }
  [[nodiscard]] result<void> attach_tc(int ifindex) override { return at(tc_, ifindex); }
  [[nodiscard]] result<void> detach_tc(int ifindex) override { return at(tc_, ifindex); }
  [[nodiscard]] result<void> attach_xdp(int ifindex, tier_ebpf::xdp_mode mode) override {
    MP_INVARIANT(mode == tier_ebpf::xdp_mode::native || mode == tier_ebpf::xdp_mode::generic);
    return at(xdp_, ifindex);
  }
  [[nodiscard]] result<void> detach_xdp(int ifindex, tier_ebpf::xdp_mode) override {
    return at(xdp_, ifindex);
  }
  [[nodiscard]] result<void> clear_xdp(int ifindex) override { return at(tc_, ifindex); }

private:
  [[nodiscard]] static result<void> at(bool loaded, int ifindex) {
    MP_INVARIANT(loaded && ifindex > 0);
    return {};
  }
  bool tc_ = false;
  bool xdp_ = false;
};

} // namespace

/// What is a request is written again as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view in{reinterpret_cast<const char*>(data), size};
  if (const auto reply = netd::decode_reply(in))
    MP_INVARIANT(netd::decode_reply(netd::encode(*reply)));
  netd::packet_service service{std::make_unique<strict>(), {}};
  while (!in.empty()) {
    const auto length = static_cast<std::uint8_t>(in.front());
    const auto message = in.substr(1, length);
    in.remove_prefix(1 + message.size());
    const auto r = netd::decode_request(message);
    if (!r)
      continue;
    MP_INVARIANT(netd::encode(*r) == message);
    (void)service.handle(*r, {});
  }
  return 0;
}
