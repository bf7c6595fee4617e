// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/model/model.hpp"
#include "nodes/limiting/admission.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace marchproxy::limiting {

/// The meters that exist: who asks for the same limits of the same subject gets the same one as
/// long as anybody has it, so what is used up outlives revisions. Any thread.
class meters {
public:
  [[nodiscard]] std::shared_ptr<meter>
  of(subject whose, const model::limits& limits, clock::time_point now);

private:
  std::mutex lock_;
  std::map<subject, std::vector<std::weak_ptr<meter>>> known_; ///< of a subject, by its limits
};

/// The limits of one revision. Immutable; threads may share it freely.
class limit_table {
public:
  /// Only active mappings and services count.
  [[nodiscard]] static std::shared_ptr<const limit_table>
  build(const model::ruleset& rules, meters& known, clock::time_point now);

  struct flow {
    mapping_id mapping; ///< that allows it
    std::optional<ip_address> destination;
    std::string_view name = {}; ///< as asked for; empty: by address
    model::protocol protocol = model::protocol::tcp;
    std::uint16_t port = 0;
  };
  /// The meters of the mapping and of the service that the flow goes to: of all with limits that
  /// it belongs to, the one at its name, else below the longest wildcard, else with the longest
  /// prefix; of several at one place the one with the lowest id.
  [[nodiscard]] flow_meters of(const flow& f) const;

  [[nodiscard]] const std::vector<std::shared_ptr<meter>>& all() const noexcept { return all_; }

private:
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  struct address_hash {
    std::size_t operator()(const ip_address& a) const noexcept {
      return std::hash<std::string_view>{}(
        {reinterpret_cast<const char*>(a.bytes.data()), a.bytes.size()});
    }
  };
  struct entry {
    std::shared_ptr<limiting::meter> meter;
    model::protocol_set protocols;
    model::port_set ports;
  };
  using entries = std::vector<entry>; ///< ascending by id
  using by_name = std::unordered_map<std::string, entries, text_hash, std::equal_to<>>;
  struct level {
    ip_family family;
    std::uint8_t length;
    std::unordered_map<ip_address, entries, address_hash> at;
  };

  limit_table() = default;
  [[nodiscard]] static const entry* pick(const entries& from, const flow& f) noexcept;
  [[nodiscard]] const entry* find_service(const flow& f) const;
  [[nodiscard]] const entry* find_by_name(const flow& f) const;
  [[nodiscard]] entries& place_of(const model::service_address& address);

  std::unordered_map<mapping_id, std::shared_ptr<meter>> mappings_;
  by_name exact_;
  by_name wildcards_;         ///< by what is behind `*.`
  std::vector<level> levels_; ///< longest prefix first
  std::vector<std::shared_ptr<meter>> all_;
};

} // namespace marchproxy::limiting
