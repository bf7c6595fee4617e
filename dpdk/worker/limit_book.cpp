// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "dpdk/worker/limit_book.hpp"

#include "bpf/loader/traffic.hpp"

#include <cstring>
#include <optional>

namespace marchproxy::packet_worker {

namespace {

/// The model's limits of each mapping and service that has some, by mp_limits::of.
std::unordered_map<std::uint64_t, const model::limits*> limits_by_owner(const model::ruleset& of) {
  std::unordered_map<std::uint64_t, const model::limits*> out;
  for (const auto& m : of.mappings)
    if (m.limits)
      out[m.id.value] = &*m.limits;
  for (const auto& s : of.services)
    if (s.limits)
      out[s.id.value | MP_LIMITS_OF_SERVICE] = &*s.limits;
  return out;
}

limiting::subject subject_of(std::uint64_t owner) noexcept {
  using kind = limiting::subject::kind;
  return {(owner & MP_LIMITS_OF_SERVICE) != 0 ? kind::service : kind::mapping,
          owner & ~MP_LIMITS_OF_SERVICE};
}

/// Tokens of one bucket that a packet needs.
struct claim {
  const limiting::bucket_terms* terms = nullptr;
  limiting::bucket* from = nullptr;
  std::uint64_t tokens = 0;
  std::uint64_t at = 0; ///< on the tokens' clock
  std::atomic<std::uint64_t>* refused = nullptr;
};

/// Up to three for each of two limits.
class claims {
public:
  void add(const std::optional<limiting::bucket_terms>& terms,
           limiting::bucket& from,
           std::uint64_t tokens,
           limiting::duration since,
           std::atomic<std::uint64_t>& refused) noexcept {
    if (terms)
      all_[count_++] = {&*terms, &from, tokens, terms->at(since), &refused};
  }
  /// All, or none.
  [[nodiscard]] bool take() noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
      auto& c = all_[i];
      if (c.from->take(*c.terms, c.tokens, c.at))
        continue;
      c.refused->fetch_add(1, std::memory_order_relaxed);
      while (i-- > 0)
        all_[i].from->give_back(*all_[i].terms, all_[i].tokens);
      return false;
    }
    return true;
  }

private:
  std::array<claim, 6> all_{};
  std::size_t count_ = 0;
};

} // namespace

std::shared_ptr<const limit_book> limit_book::build(const policy::program& program,
                                                    const limit_book* before,
                                                    limiting::clock::time_point now) {
  auto out = std::make_shared<limit_book>();
  const auto owners = limits_by_owner(program.rules());
  for (const auto& limits : program.limits()) {
    auto& here = out->by_key_[limits.key];
    if (before != nullptr)
      if (const auto found = before->by_key_.find(limits.key);
          found != before->by_key_.end()
          && std::memcmp(&found->second->limits, &limits, sizeof limits) == 0) {
        here = found->second;
        continue;
      }
    here = std::make_shared<metered>();
    here->limits = limits;
    here->meter =
      std::make_shared<limiting::meter>(subject_of(limits.of), *owners.at(limits.of), now);
  }
  return out;
}

bool limit_book::lets_pass(const toll& t, limiting::clock::time_point now) const noexcept {
  const auto source = tier_ebpf::from_abi(t.source);
  std::array<limiting::meter::hold, 2> holds; // as long as the claims
  claims wanted;
  for (std::size_t i = 0; i < t.limits.size(); ++i) {
    const auto found = by_key_.find(t.limits[i]);
    if (found == by_key_.end())
      continue;
    auto& m = *found->second;
    holds[i] = {m.meter, source, now};
    auto& buckets = holds[i].buckets();
    const auto& terms = m.meter->terms();
    const auto since = m.meter->since(now);
    if (t.opens && terms.max_connections != 0
        && buckets.open.load(std::memory_order_relaxed) >= terms.max_connections) {
      m.refused[MP_LIMIT_max_connections].fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    if (t.opens)
      wanted.add(terms.connections, buckets.connections, 1, since, m.refused[MP_LIMIT_connections]);
    wanted.add(terms.packets, buckets.packets, 1, since, m.refused[MP_LIMIT_packets]);
    wanted.add(terms.bytes, buckets.bytes, t.bytes, since, m.refused[MP_LIMIT_bytes]);
  }
  return wanted.take();
}

void limit_book::add(const keys& limits, const mp_address& source, int more) const noexcept {
  for (auto key : limits) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end() || found->second->limits.max_connections == 0)
      continue;
    const limiting::meter::hold held{found->second->meter, tier_ebpf::from_abi(source),
                                     limiting::clock::now()};
    held.buckets().open.fetch_add(static_cast<std::uint32_t>(more), std::memory_order_relaxed);
  }
}

std::vector<tier_ebpf::limited_count> limit_book::read() const {
  std::vector<tier_ebpf::limited_count> out;
  for (const auto& [key, m] : by_key_) {
    tier_ebpf::limited_count one;
    one.id = m->limits.of & ~MP_LIMITS_OF_SERVICE;
    one.of_service = (m->limits.of & MP_LIMITS_OF_SERVICE) != 0;
    for (std::size_t i = 0; i < one.refused.size(); ++i)
      one.refused[i] = m->refused[i].load(std::memory_order_relaxed);
    one.crowded = m->meter->crowded();
    out.push_back(one);
  }
  return out;
}

} // namespace marchproxy::packet_worker
