// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/bench/packet_worker/rte_acl_rules.hpp"

#include "actors/policy/rule_order.hpp"

#include <rte_acl.h>
#include <rte_errno.h>

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

namespace marchproxy::bench {

namespace {

constexpr std::size_t fields = 5;
RTE_ACL_RULE_DEF(acl_rule, fields);

rte_acl_config configuration() {
  rte_acl_config out{};
  out.num_categories = 1;
  out.num_fields = fields;
  auto define = [&](std::uint8_t number, std::uint8_t type, std::uint8_t size, std::uint8_t input,
                    std::size_t offset) {
    out.defs[number] = {type, size, number, input, static_cast<std::uint32_t>(offset)};
  };
  define(0, RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, offsetof(acl_key, protocol));
  define(1, RTE_ACL_FIELD_TYPE_MASK, 4, 1, offsetof(acl_key, source));
  define(2, RTE_ACL_FIELD_TYPE_MASK, 4, 2, offsetof(acl_key, destination));
  define(3, RTE_ACL_FIELD_TYPE_RANGE, 2, 3, offsetof(acl_key, source_port));
  define(4, RTE_ACL_FIELD_TYPE_RANGE, 2, 3, offsetof(acl_key, destination_port));
  return out;
}

struct ranked {
  policy::rank_key rank;
  acl_rule rule{};
};

ranked to_rule(const model::mapping& m, const model::service& from, const model::service& to) {
  ranked out;
  auto match = policy::effective(m, &to);
  out.rank = policy::order_of(m, policy::specificity(&from.address),
                              policy::specificity(&to.address), match);
  auto& r = out.rule;
  r.data.category_mask = 1;
  r.data.userdata = static_cast<std::uint32_t>(2 * m.id.value)
                    + (m.action == model::mapping_action::deny ? 0U : 1U);
  r.field[0].value.u8 =
    static_cast<std::uint8_t>(m.protocols) == static_cast<std::uint8_t>(model::protocol::tcp)
      ? std::uint8_t{IPPROTO_TCP}
      : std::uint8_t{IPPROTO_UDP};
  r.field[0].mask_range.u8 = 0xff;
  auto prefix = [&](std::size_t number, const model::service& s) {
    const auto& p = std::get<ip_prefix>(s.address);
    r.field[number].value.u32 = p.base.v4_host_order();
    r.field[number].mask_range.u32 = p.length;
  };
  prefix(1, from);
  prefix(2, to);
  r.field[3].mask_range.u16 = 0xffff;
  r.field[4].value.u16 = match.ports.front().first;
  r.field[4].mask_range.u16 = match.ports.front().last;
  return out;
}

} // namespace

void acl_rules::free_context::operator()(rte_acl_ctx* context) const noexcept {
  ::rte_acl_free(context);
}

result<acl_rules> acl_rules::build(const model::ruleset& rules) {
  static int count = 0;
  std::unordered_map<std::uint64_t, const model::service*> by_id;
  for (const auto& s : rules.services)
    by_id[s.id.value] = &s;
  std::vector<ranked> all;
  for (const auto& m : rules.mappings)
    all.push_back(to_rule(m, *by_id.at(std::get<service_id>(m.sources.front()).value),
                          *by_id.at(std::get<service_id>(m.destinations.front()).value)));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
  auto name = "bench" + std::to_string(++count);
  rte_acl_param parameters{name.c_str(), SOCKET_ID_ANY, RTE_ACL_RULE_SZ(fields),
                           static_cast<std::uint32_t>(all.size())};
  acl_rules out{::rte_acl_create(&parameters)};
  if (!out.context_)
    return fail(errc::too_large, std::string{"rte_acl_create: "} + ::rte_strerror(rte_errno));
  std::vector<acl_rule> list;
  for (std::size_t i = 0; i < all.size(); ++i) {
    list.push_back(all[i].rule);
    list.back().data.priority = static_cast<std::int32_t>(all.size() - i);
  }
  auto config = configuration();
  auto rc =
    ::rte_acl_add_rules(out.context_.get(), reinterpret_cast<const rte_acl_rule*>(list.data()),
                        static_cast<std::uint32_t>(list.size()));
  if (rc == 0)
    rc = ::rte_acl_build(out.context_.get(), &config);
  if (rc != 0)
    return fail(errc::too_large, std::string{"rte_acl_build: "} + ::rte_strerror(-rc));
  return out;
}

void acl_rules::classify(std::span<const std::uint8_t*> keys,
                         std::span<std::uint32_t> answers) const noexcept {
  ::rte_acl_classify(context_.get(), keys.data(), answers.data(),
                     static_cast<std::uint32_t>(keys.size()), 1);
}

} // namespace marchproxy::bench
