// SPDX-License-Identifier: AGPL-3.0-only
// hot path: find
#include "dpdk/forwarding/table.hpp"

#include "bpf/loader/traffic.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

namespace marchproxy::forwarding {

namespace {

/// A range's way is a hop's index, `on_link` plus a port, or a missing one.
constexpr std::uint32_t on_link = 0x8000'0000U;

constexpr std::uint32_t way_of(missing why) {
  return table::first_missing + static_cast<std::uint32_t>(why);
}

} // namespace

table::number table::to_number(const mp_address& address) noexcept {
  return static_cast<number>(__builtin_bswap64(address.word[0])) << 64
         | __builtin_bswap64(address.word[1]);
}

std::uint32_t table::find_near(number address, std::uint32_t port) const noexcept {
  auto found = std::lower_bound(
    near_.begin(), near_.end(), std::tie(port, address),
    [](const near& a, const auto& wanted) { return std::tie(a.port, a.address) < wanted; });
  if (found == near_.end() || found->port != port || found->address != address)
    return way_of(missing::neighbour);
  return found->hop;
}

std::uint32_t table::find(const mp_address& destination) const noexcept {
  auto wanted = to_number(destination);
  auto above = std::upper_bound(ranges_.begin(), ranges_.end(), wanted,
                                [](number w, const range& r) { return w < r.first; });
  auto way = std::prev(above)->way;
  if (way < on_link || way >= first_missing)
    return way;
  return find_near(wanted, way - on_link);
}

/// One table in the making.
class table_builder {
public:
  table_builder(const kernel_view& view, std::span<const int> ports, std::uint32_t generation)
    : view_(view), ports_(ports) {
    out_->generation_ = generation;
  }
  std::shared_ptr<const table> run() {
    for (auto ifindex : ports_) {
      const auto* found = link_of(ifindex);
      out_->port_addresses_.push_back(found != nullptr ? found->address : mac_address{});
    }
    add_neighbours();
    add_routes();
    add_own();
    return std::move(out_);
  }

private:
  using number = table::number;
  struct span_of {
    number first;
    number last;
    std::uint32_t metric;
    std::uint32_t way;
  };

  const link* link_of(int ifindex) const {
    auto found = std::find_if(view_.links.begin(), view_.links.end(),
                              [&](const auto& l) { return l.ifindex == ifindex; });
    return found != view_.links.end() ? &*found : nullptr;
  }
  std::optional<std::uint32_t> port_of(int ifindex) const {
    auto found = std::find(ports_.begin(), ports_.end(), ifindex);
    if (found == ports_.end())
      return std::nullopt;
    return static_cast<std::uint32_t>(found - ports_.begin());
  }

  void add_neighbours();
  void add_routes();
  void add_own();
  std::uint32_t way_of_route(const route& r) const;
  span_of span_of_route(const route& r) const;
  void flatten(std::vector<span_of> spans);
  void push(number first, std::uint32_t way);

  const kernel_view& view_;
  std::span<const int> ports_;
  std::shared_ptr<table> out_{new table};
};

void table_builder::add_neighbours() {
  for (const auto& n : view_.neighbours) {
    auto port = port_of(n.ifindex);
    const auto* link = link_of(n.ifindex);
    if (!port || link == nullptr)
      continue;
    out_->near_.push_back({table::to_number(tier_ebpf::to_abi(n.address)), *port,
                           static_cast<std::uint32_t>(out_->hops_.size())});
    out_->hops_.push_back({n.hardware, link->address, static_cast<std::uint16_t>(*port),
                           static_cast<std::uint16_t>(std::min<std::uint32_t>(
                             link->mtu, std::numeric_limits<std::uint16_t>::max()))});
  }
  std::sort(out_->near_.begin(), out_->near_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.port, a.address) < std::tie(b.port, b.address);
  });
}

std::uint32_t table_builder::way_of_route(const route& r) const {
  auto routed = r.to.base.family == ip_family::v4 ? view_.routes4 : view_.routes6;
  auto port = r.ifindex ? port_of(*r.ifindex) : std::nullopt;
  if (!routed || !port || view_.policy_routing)
    return way_of(missing::route);
  if (!r.gateway)
    return on_link + *port;
  return out_->find_near(table::to_number(tier_ebpf::to_abi(*r.gateway)), *port);
}

table_builder::span_of table_builder::span_of_route(const route& r) const {
  auto first = table::to_number(tier_ebpf::to_abi(r.to.base));
  auto host_bits = r.to.base.width() - r.to.length;
  auto hosts = host_bits == 128 ? ~number{0} : (number{1} << host_bits) - 1;
  return {first, first | hosts, r.metric, way_of_route(r)};
}

/// A range that goes the same way as the one before it is part of that one.
void table_builder::push(number first, std::uint32_t way) {
  auto& ranges = out_->ranges_;
  if (!ranges.empty() && ranges.back().first == first)
    ranges.back().way = way;
  else if (ranges.empty() || ranges.back().way != way)
    ranges.push_back({first, way});
}

/// Prefixes nest or are apart: walking them outermost first, the innermost open one decides.
void table_builder::flatten(std::vector<span_of> spans) {
  std::sort(spans.begin(), spans.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, b.last, a.metric) < std::tie(b.first, a.last, b.metric);
  });
  std::vector<span_of> open{{0, ~number{0}, 0, way_of(missing::route)}};
  push(0, open.back().way);
  auto close_before = [&](number next) {
    while (open.size() > 1 && open.back().last < next) {
      auto after = open.back().last + 1; // an inner prefix ends before its outer one does, or with
      open.pop_back();
      if (after != 0)
        push(after, open.back().way);
    }
  };
  for (const auto& s : spans) {
    close_before(s.first);
    if (open.size() > 1 && open.back().first == s.first && open.back().last == s.last)
      continue; // the same prefix with a greater metric
    push(s.first, s.way);
    open.push_back(s);
  }
  while (open.size() > 1) {
    auto last = open.back().last;
    open.pop_back();
    if (last != ~number{0})
      push(last + 1, open.back().way);
  }
}

void table_builder::add_routes() {
  std::vector<span_of> spans;
  spans.reserve(view_.routes.size() + 1);
  // IPv4 lies inside ::/0 here, where an IPv6 default route must not reach it.
  spans.push_back({number{0xffff} << 32, number{0xffff} << 32 | 0xffff'ffffU,
                   std::numeric_limits<std::uint32_t>::max(), way_of(missing::route)});
  for (const auto& r : view_.routes)
    spans.push_back(span_of_route(r));
  flatten(std::move(spans));
}

void table_builder::add_own() {
  out_->own_.resize(std::bit_ceil(4 * view_.own.size() + 4));
  for (const auto& address : view_.own) {
    auto abi = tier_ebpf::to_abi(address);
    if (out_->is_own(abi))
      continue;
    auto at = out_->own_slot(abi);
    while (out_->own_[at].word[0] != 0 || out_->own_[at].word[1] != 0)
      at = (at + 1) & (out_->own_.size() - 1);
    out_->own_[at] = abi;
  }
}

std::shared_ptr<const table>
table::make(const kernel_view& view, std::span<const int> ports, std::uint32_t generation) {
  return table_builder{view, ports, generation}.run();
}

} // namespace marchproxy::forwarding
