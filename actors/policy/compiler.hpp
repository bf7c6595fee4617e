// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/policy/image_limits.hpp"
#include "actors/policy/list_rows.hpp"
#include "actors/policy/port_groups.hpp"
#include "actors/policy/prefix_tree.hpp"
#include "actors/policy/program.hpp"
#include "actors/policy/rule_order.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace marchproxy::policy {

/// One compilation: expand mappings to atoms, rank them, lay out rows and trees. Used once.
class compiler {
public:
  explicit compiler(std::shared_ptr<const model::ruleset> rules);
  [[nodiscard]] result<std::shared_ptr<const program>> run();

private:
  /// A source or destination of a mapping, resolved: which node or name, and how specific.
  struct side {
    const model::service* service = nullptr; ///< null for `all`
    std::uint32_t node = 0;                  ///< prefix node; 0 for `all` and names
    std::uint32_t name = 0;                  ///< 1 + index into names_, 0: no name
    std::uint8_t specific = 0;
  };
  /// (mapping, source, destination) and the atoms that come of it.
  struct entry {
    rank_key key;
    std::uint32_t source = 0; ///< class
    std::uint32_t target = 0; ///< prefix node, or targets_.size() + name index
    std::uint32_t flags = 0;  ///< MP_ATOM_
    std::uint32_t rule_flags = 0;
    std::uint32_t first_port = 0; ///< into ports_
    std::uint16_t port_count = 0;
    std::uint8_t protocols = 0;
  };

  [[nodiscard]] result<void> check_sources() const;
  void collect_prefixes();
  [[nodiscard]] std::vector<side> resolve(const std::vector<model::selector>& selectors,
                                          const prefix_tree& tree) const;
  [[nodiscard]] result<void> expand();
  void expand_pair(const model::mapping& m, const side& from, const side& to);
  void rank_entries();
  void distribute();
  /// A destination's rows by group, and where the image has them.
  struct fan {
    std::array<std::uint32_t, MP_GROUPS> rows{}; ///< numbers in fan_rows_
    std::uint32_t ref = 0;                       ///< 0: no list at all
  };
  [[nodiscard]] fan add_fan(std::span<const mp_atom> own, const fan& around);
  void build_address_fans();
  [[nodiscard]] fan guarded_fan(std::uint32_t node);
  void build_name_fans();
  [[nodiscard]] const fan& fan_above_name(std::uint32_t name) const;
  [[nodiscard]] std::uint32_t most_visits() const;
  [[nodiscard]] result<std::shared_ptr<const program>> finish();
  [[nodiscard]] std::span<const mp_atom> own(std::uint32_t target) const noexcept {
    return std::span{atoms_}.subspan(first_atom_[target],
                                     first_atom_[target + 1] - first_atom_[target]);
  }
  [[nodiscard]] std::vector<const model::service*> services_of(const model::selector& which) const;

  std::shared_ptr<const model::ruleset> rules_;
  std::unordered_map<std::uint64_t, const model::service*> by_id_;
  std::unordered_map<std::string, std::vector<const model::service*>> by_collection_;
  std::vector<model::dns_name> names_; ///< sorted, wider wildcards first by label count
  std::unordered_map<std::string, std::uint32_t> name_index_; ///< text (`*.` kept) -> index
  prefix_tree sources_{{}};
  prefix_tree targets_{{}};
  std::vector<model::port_range> ports_;
  std::vector<entry> entries_;
  std::vector<mp_rule> rule_table_;
  std::vector<std::uint32_t> ranks_; ///< per entry
  std::vector<mp_atom> atoms_;       ///< by target, then rank
  std::vector<std::uint32_t> first_atom_;
  std::size_t atom_count_ = 0;
  image_builder image_;
  image_limits limits_{*rules_, image_};
  row_builder rows_{image_, rule_table_};
  std::optional<port_groups> groups_;
  std::array<std::vector<mp_atom>, MP_GROUPS> by_group_; ///< scratch of add_fan
  std::vector<list_row> fan_rows_{list_row{}};
  std::vector<fan> target_fans_;
  std::vector<fan> name_fans_;
  std::unordered_map<std::uint32_t, fan> guarded_; ///< by the node above the special range
};

} // namespace marchproxy::policy
