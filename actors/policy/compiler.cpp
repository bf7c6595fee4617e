// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/policy/compiler.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/policy/rule_flags.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>

namespace marchproxy::policy {

namespace {

constexpr std::size_t max_atoms = std::size_t{1} << 22;
constexpr std::size_t max_image = std::size_t{1} << 30;

std::string text_of(const model::dns_name& name) {
  return name.wildcard ? "*." + name.name : name.name;
}

std::ptrdiff_t labels(const model::dns_name& name) {
  return std::count(name.name.begin(), name.name.end(), '.') + 1;
}

void add_prefixes(std::vector<ip_prefix>& to, const std::vector<const model::service*>& services) {
  for (const auto* s : services)
    if (const auto* prefix = std::get_if<ip_prefix>(&s->address))
      to.push_back(*prefix);
}

} // namespace

compiler::compiler(std::shared_ptr<const model::ruleset> rules)
  : rules_(std::move(rules)), image_(rules_->mappings.size() * 512 + (std::size_t{1} << 20)) {
  for (const auto& s : rules_->services) {
    by_id_.emplace(s.id.value, &s);
    if (s.active && !s.collection.empty())
      by_collection_[s.collection].push_back(&s);
  }
}

std::vector<const model::service*> compiler::services_of(const model::selector& which) const {
  if (const auto* id = std::get_if<service_id>(&which)) {
    auto found = by_id_.find(id->value);
    if (found == by_id_.end() || !found->second->active)
      return {};
    return {found->second};
  }
  if (const auto* collection = std::get_if<model::select_collection>(&which)) {
    auto found = by_collection_.find(collection->name);
    return found == by_collection_.end() ? std::vector<const model::service*>{} : found->second;
  }
  return {};
}

result<void> compiler::check_sources() const {
  for (const auto& m : rules_->mappings)
    for (std::size_t i = 0; m.active && i < m.sources.size(); ++i)
      if (const auto* id = std::get_if<service_id>(&m.sources[i])) {
        auto found = by_id_.find(id->value);
        if (found == by_id_.end())
          return fail_field("mappings[" + std::to_string(m.id.value) + "].sources["
                              + std::to_string(i) + "]",
                            "service " + std::to_string(id->value) + " does not exist");
        if (std::holds_alternative<model::dns_name>(found->second->address))
          return fail_field(
            "mappings[" + std::to_string(m.id.value) + "].sources[" + std::to_string(i) + "]",
            "service '" + found->second->name
              + "' has a name for an address; a source is recognised by IP or CIDR");
      }
  return {};
}

void compiler::collect_prefixes() {
  std::vector<ip_prefix> from;
  std::vector<ip_prefix> to;
  for (const auto& special : special_prefixes())
    to.push_back(special.prefix);
  for (const auto& m : rules_->mappings) {
    if (!m.active)
      continue;
    for (const auto& which : m.sources)
      add_prefixes(from, services_of(which));
    for (const auto& which : m.destinations)
      for (const auto* s : services_of(which)) {
        if (const auto* prefix = std::get_if<ip_prefix>(&s->address))
          to.push_back(*prefix);
        else
          names_.push_back(std::get<model::dns_name>(s->address));
      }
  }
  sources_ = prefix_tree{from};
  targets_ = prefix_tree{to};
  std::sort(names_.begin(), names_.end(), [](const model::dns_name& a, const model::dns_name& b) {
    return std::tuple{!a.wildcard, labels(a), a.name} < std::tuple{!b.wildcard, labels(b), b.name};
  });
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  for (std::uint32_t i = 0; i < names_.size(); ++i)
    name_index_.emplace(text_of(names_[i]), i);
}

std::vector<compiler::side> compiler::resolve(const std::vector<model::selector>& selectors,
                                              const prefix_tree& tree) const {
  std::vector<side> out;
  for (const auto& which : selectors) {
    if (std::holds_alternative<model::select_all>(which)) {
      out.push_back({});
      continue;
    }
    for (const auto* s : services_of(which)) {
      side at{s, 0, 0, specificity(&s->address)};
      if (const auto* prefix = std::get_if<ip_prefix>(&s->address))
        at.node = tree.node_of(*prefix);
      else if (&tree == &targets_)
        at.name = 1 + name_index_.at(text_of(std::get<model::dns_name>(s->address)));
      else
        continue; // a collection may hold named services; as sources they match no address
      out.push_back(at);
    }
  }
  return out;
}

void compiler::expand_pair(const model::mapping& m, const side& from, const side& to) {
  auto match = effective(m, to.service);
  if (match.protocols == 0)
    return;
  entry e;
  e.key = order_of(m, from.specific, to.specific, match);
  e.source = from.node;
  e.target = to.name != 0 ? static_cast<std::uint32_t>(targets_.size()) + to.name - 1 : to.node;
  e.flags = m.action == model::mapping_action::deny || m.allow_private ? MP_ATOM_PRIVATE_OK : 0;
  e.rule_flags = rule_flags(m, rules_->observe);
  e.first_port = static_cast<std::uint32_t>(ports_.size());
  e.port_count = static_cast<std::uint16_t>(match.ports.size());
  e.protocols = match.protocols;
  ports_.insert(ports_.end(), match.ports.begin(), match.ports.end());
  entries_.push_back(e);
  atom_count_ += match.ports.size() + 1;
}

result<void> compiler::expand() {
  for (const auto& m : rules_->mappings) {
    if (!m.active)
      continue;
    auto from = resolve(m.sources, sources_);
    auto to = resolve(m.destinations, targets_);
    for (const auto& f : from)
      for (const auto& t : to) {
        expand_pair(m, f, t);
        if (atom_count_ > max_atoms)
          return fail(errc::too_large,
                      "mapping " + std::to_string(m.id.value)
                        + " brings the policy past 4,194,304 (source, destination, port range) "
                          "combinations; use wider prefixes or fewer collections");
      }
  }
  if (rules_->observe) {
    // What no mapping decides passes: by a rule for everything, weaker than every mapping's, which
    // every tier finds by the lookup that it does anyway.
    model::mapping everything;
    everything.action = model::mapping_action::deny;
    expand_pair(everything, {}, {});
    entries_.back().key.precedence = std::numeric_limits<std::uint64_t>::max();
  }
  return {};
}

void compiler::rank_entries() {
  std::vector<std::uint32_t> order(entries_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return entries_[a].key < entries_[b].key; });
  ranks_.resize(entries_.size());
  const rank_key* previous = nullptr;
  for (auto i : order) {
    const auto& e = entries_[i];
    if (previous == nullptr || *previous != e.key)
      rule_table_.push_back(
        {e.key.mapping, e.rule_flags, limits_.of_mapping(mapping_id{e.key.mapping})});
    previous = &e.key;
    ranks_[i] = static_cast<std::uint32_t>(rule_table_.size() - 1);
  }
  // Entries in rank order, so that distribute() leaves each target's atoms in rank order.
  std::vector<entry> sorted;
  std::vector<std::uint32_t> sorted_ranks;
  sorted.reserve(entries_.size());
  sorted_ranks.reserve(entries_.size());
  for (auto i : order) {
    sorted.push_back(entries_[i]);
    sorted_ranks.push_back(ranks_[i]);
  }
  entries_ = std::move(sorted);
  ranks_ = std::move(sorted_ranks);
}

void compiler::distribute() {
  constexpr auto icmp = static_cast<std::uint8_t>(model::protocol::icmp);
  auto for_each_atom = [&](const entry& e, std::uint32_t rank, auto&& use) {
    mp_atom atom{};
    atom.src_high = sources_.last(e.source) | (e.flags << 24);
    atom.rank = rank;
    auto with_ports = static_cast<std::uint8_t>(e.protocols & ~icmp);
    auto every_port = e.port_count == 1 && ports_[e.first_port] == model::port_range{0, 65535};
    auto merged = every_port ? e.protocols : with_ports;
    for (std::uint32_t i = 0; merged != 0 && i < e.port_count; ++i) {
      atom.src_low = e.source | (static_cast<std::uint32_t>(merged) << 24);
      atom.port_low = ports_[e.first_port + i].first;
      atom.port_high = ports_[e.first_port + i].last;
      use(atom);
    }
    if ((e.protocols & icmp) != 0 && !every_port) {
      atom.src_low = e.source | (static_cast<std::uint32_t>(icmp) << 24);
      atom.port_low = 0;
      atom.port_high = 65535;
      use(atom);
    }
  };
  first_atom_.assign(targets_.size() + names_.size() + 2, 0);
  for (const auto& e : entries_)
    for_each_atom(e, 0, [&](const mp_atom&) { ++first_atom_[e.target + 2]; });
  std::partial_sum(first_atom_.begin(), first_atom_.end(), first_atom_.begin());
  atoms_.resize(first_atom_.back());
  for (std::size_t i = 0; i < entries_.size(); ++i)
    for_each_atom(entries_[i], ranks_[i], [&](const mp_atom& atom) {
      atoms_[first_atom_[entries_[i].target + 1]++] = atom;
    });
}

compiler::fan compiler::add_fan(std::span<const mp_atom> own, const fan& around) {
  if (own.empty())
    return around;
  std::uint32_t touched = 0;
  for (const auto& atom : own) {
    auto groups = groups_->of(atom);
    touched |= groups;
    for (auto rest = groups; rest != 0; rest &= rest - 1)
      by_group_[static_cast<std::size_t>(std::countr_zero(rest))].push_back(atom);
  }
  fan out = around;
  out.ref = image_.place_fan();
  for (auto rest = touched; rest != 0; rest &= rest - 1) {
    auto group = static_cast<std::size_t>(std::countr_zero(rest));
    auto row = rows_.add(by_group_[group], fan_rows_[around.rows[group]]);
    by_group_[group].clear();
    out.rows[group] = static_cast<std::uint32_t>(fan_rows_.size());
    fan_rows_.push_back(row);
  }
  mp_fan lists{};
  for (std::size_t group = 0; group < MP_GROUPS; ++group)
    lists.list[group] = fan_rows_[out.rows[group]].whole.ref;
  image_.write_fan(out.ref, lists);
  return out;
}

compiler::fan compiler::guarded_fan(std::uint32_t node) {
  auto [at, fresh] = guarded_.try_emplace(node);
  if (!fresh)
    return at->second;
  std::vector<mp_atom> kept;
  for (auto above = node;; above = targets_.parent(above)) {
    for (const auto& atom : own(above))
      if (((atom.src_high >> 24) & MP_ATOM_PRIVATE_OK) != 0)
        kept.push_back(atom);
    if (above == 0)
      break;
  }
  std::stable_sort(kept.begin(), kept.end(),
                   [](const mp_atom& a, const mp_atom& b) { return a.rank < b.rank; });
  return guarded_[node] = add_fan(kept, fan{});
}

void compiler::build_address_fans() {
  std::vector<bool> special(targets_.size());
  for (const auto& s : special_prefixes())
    special[targets_.node_of(s.prefix)] = true;
  target_fans_.resize(targets_.size());
  target_fans_[0] = add_fan(own(0), fan{});
  for (std::uint32_t node = 1; node < targets_.size(); ++node) {
    // What reaches a special range without naming it stops at the range's edge (POL-6).
    auto around =
      special[node] ? guarded_fan(targets_.parent(node)) : target_fans_[targets_.parent(node)];
    target_fans_[node] = add_fan(own(node), around);
  }
}

const compiler::fan& compiler::fan_above_name(std::uint32_t name) const {
  std::string_view rest = names_[name].name;
  // A wildcard's own fan is not above itself: start one label further up.
  for (auto dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
    rest.remove_prefix(dot + 1);
    if (auto found = name_index_.find("*." + std::string{rest}); found != name_index_.end())
      return name_fans_[found->second];
  }
  return target_fans_[0];
}

void compiler::build_name_fans() {
  name_fans_.resize(names_.size());
  for (std::uint32_t i = 0; i < names_.size();
       ++i) // wildcards first, wider ones before narrower ones
    name_fans_[i] =
      add_fan(own(static_cast<std::uint32_t>(targets_.size()) + i), fan_above_name(i));
}

std::uint32_t compiler::most_visits() const {
  std::uint32_t out = 0;
  auto visits = [&](std::uint32_t row) { return fan_rows_[row].whole.visits; };
  auto look_at = [&](const fan& f) {
    for (auto row : f.rows)
      out = std::max(out, visits(f.rows[0]) + (row == f.rows[0] ? 0 : visits(row)));
  };
  std::for_each(target_fans_.begin(), target_fans_.end(), look_at);
  std::for_each(name_fans_.begin(), name_fans_.end(), look_at);
  return out;
}

result<std::shared_ptr<const program>> compiler::run() {
  if (auto ok = check_sources(); !ok)
    return tl::unexpected(ok.error());
  collect_prefixes();
  if (auto ok = expand(); !ok)
    return tl::unexpected(ok.error());
  rank_entries();
  distribute();
  groups_.emplace(atoms_);
  build_address_fans();
  build_name_fans();
  return finish();
}

result<std::shared_ptr<const program>> compiler::finish() {
  std::vector<std::uint32_t> refs(target_fans_.size());
  for (std::size_t i = 0; i < refs.size(); ++i)
    refs[i] = target_fans_[i].ref;
  auto visits = most_visits();
  if (visits > MP_MAX_LISTS)
    return fail(errc::too_large, "the policy nests too deeply: one lookup would visit "
                                   + std::to_string(visits) + " lists, "
                                   + std::to_string(MP_MAX_LISTS) + " is the bound");
  std::vector<std::uint32_t> classes(sources_.size());
  std::iota(classes.begin(), classes.end(), 0U);

  mp_image_header header{};
  header.magic = MP_IMAGE_MAGIC;
  header.layout = MP_IMAGE_LAYOUT;
  header.revision = rules_->revision.value;
  header.cluster_low = static_cast<mp_u32>(rules_->cluster.value);
  header.rule_count = static_cast<mp_u32>(rule_table_.size());
  header.groups = image_.add_ports(groups_->pieces());
  auto source6 = image_.add_tree6(sources_.pieces(ip_family::v6, classes));
  auto target6 = image_.add_tree6(targets_.pieces(ip_family::v6, refs));
  header.source6 = source6.root;
  header.target6 = target6.root;
  header.source_jump = source6.jump;
  header.target_jump = target6.jump;
  header.source4 = image_.add_tree4(sources_.pieces(ip_family::v4, classes));
  header.target4 = image_.add_tree4(targets_.pieces(ip_family::v4, refs));
  if (auto ok = limits_.add_trees(header); !ok)
    return tl::unexpected(ok.error());
  auto bytes = image_.finish(header);
  if (bytes.size() > max_image)
    return fail(errc::too_large, "the rule image would take " + std::to_string(bytes.size())
                                   + " bytes, 1 GiB is the bound");

  crypto::sha256_hasher hash;
  hash.update({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  std::shared_ptr<program> out{new program};
  for (std::size_t i = 0; i < names_.size(); ++i) {
    hash.update(text_of(names_[i]) + "=" + std::to_string(name_fans_[i].ref) + "\n");
    (names_[i].wildcard ? out->wildcard_ : out->exact_).emplace(names_[i].name, name_fans_[i].ref);
  }
  out->hash_ = hash.finish();
  std::memcpy(header.hash, out->hash_.data(), sizeof header.hash);
  header.pages = static_cast<mp_u32>(bytes.size() / MP_PAGE_SIZE);
  std::memcpy(bytes.data(), &header, sizeof header);

  out->pages_ = std::move(bytes);
  out->any_fan_ = target_fans_[0].ref;
  out->atoms_ = atoms_.size();
  out->limits_ = limits_.take();
  out->rules_ = rules_;
  return out;
}

} // namespace marchproxy::policy
