// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/base/error.hpp"
#include "actors/base/ip.hpp"
#include "actors/model/model.hpp"
#include "actors/policy/image_pages.hpp"
#include "bpf/abi/rules.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace marchproxy::policy {

/// What is to be judged. At least one of destination and name is there.
struct flow {
  ip_address source;
  std::optional<ip_address> destination; ///< the address that is or will be connected to
  std::string_view name; ///< the name asked for, lower case, no final dot; empty: none
  model::protocol protocol = model::protocol::tcp;
  std::uint16_t port = 0; ///< destination port; 0 for ICMP
};

/// The answer of every tier to a flow. Equal in all of them, for the same program.
struct verdict {
  model::mapping_action action = model::mapping_action::deny;
  bool auth_required = false; ///< an allow or bypass that holds only with valid credentials
  bool allow_private = false; ///< the deciding mapping lets names and `all` reach special ranges
  mapping_id mapping;         ///< the deciding mapping; none: nothing matched, so deny (POL-3)
  marchproxy::revision revision;
  bool observe = false; ///< what it refuses is let through, counted and told instead (POL-8)
                        ///< of a reserved address only if the mapping has allow_private
  model::revocation when_revoked = model::revocation::cut; ///< of what is allowed (POL-12)
  std::uint32_t drain_seconds = 0;                         ///< of `drain`; else 0

  [[nodiscard]] bool allowed() const noexcept { return action != model::mapping_action::deny; }
  bool operator==(const verdict&) const = default;
};

/// The verdict of a rule on a flow.
/// @param flags  MP_RULE_, as they hold for the flow's destination (mp_flags_for)
[[nodiscard]] verdict
verdict_of_rule(std::uint32_t flags, mapping_id mapping, marchproxy::revision revision) noexcept;

/// An immutable policy: a ruleset compiled to a rule image (bpf/abi/rules.h) that every tier reads.
///
/// Threads may share it freely. The image's bytes depend only on the ruleset: two nodes that
/// compile the same revision get the same hash, which is how a proxy proves that it judges by what
/// the manager announced.
class program {
public:
  /// @errors too_large when the policy needs more than 2^22 atoms, 2^22 source prefixes, 1 GiB of
  /// image, or nests so
  ///         deeply that one lookup would visit more than MP_MAX_LISTS lists; invalid_argument when
  ///         a source service has a name for an address
  [[nodiscard]] static result<std::shared_ptr<const program>>
  compile(std::shared_ptr<const model::ruleset> rules);

  program(const program&) = delete;
  program& operator=(const program&) = delete;
  ~program();

  /// No allocation, no lock. Rule order: docs/architecture/rule-order.md (POL-3).
  [[nodiscard]] verdict decide(const flow& f) const noexcept;

  [[nodiscard]] marchproxy::revision revision() const noexcept { return rules_->revision; }
  [[nodiscard]] const model::ruleset& rules() const noexcept { return *rules_; }
  /// SHA-256 over the image and the name tables.
  [[nodiscard]] const std::array<std::uint8_t, 32>& hash() const noexcept { return hash_; }
  [[nodiscard]] std::string hash_hex() const;
  /// Whole pages of 4 KiB, page-aligned.
  [[nodiscard]] std::span<const std::byte> image() const noexcept;
  /// Number of (source, destination, port range) atoms before merging.
  [[nodiscard]] std::size_t atoms() const noexcept { return atoms_; }

  struct limits_found {
    const mp_limits* mapping = nullptr;
    const mp_limits* service = nullptr;
  };
  /// The limits that packets of @p f are held to, as every packet tier finds them: those of the
  /// mapping that decides, and those of the service it goes to (limited_service). Null: none.
  /// @param f  with a destination address
  [[nodiscard]] limits_found limits_of(const flow& f) const noexcept;
  /// All that the image has.
  [[nodiscard]] std::span<const mp_limits> limits() const noexcept { return limits_; }

  /// Active services whose address contains @p source, most specific first, then by id: whose token
  /// may be shown.
  [[nodiscard]] std::vector<service_id> sources_at(const ip_address& source) const;

  /// The fan that a lookup by address or name leads to, which of its lists a protocol and port
  /// choose, and the source class: what explain() shows as map entries.
  [[nodiscard]] std::uint32_t source_class(const ip_address& source) const noexcept;
  [[nodiscard]] std::uint32_t target_fan(const ip_address& destination) const noexcept;
  [[nodiscard]] std::uint32_t name_fan(std::string_view name) const noexcept;
  [[nodiscard]] std::uint32_t group(model::protocol protocol, std::uint16_t port) const noexcept;

private:
  friend class compiler;
  program() = default;
  /// The rule that decides, or null.
  [[nodiscard]] const mp_rule* find_rule(const flow& f) const noexcept;
  struct string_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  using name_table = std::unordered_map<std::string, std::uint32_t, string_hash, std::equal_to<>>;
  std::shared_ptr<const model::ruleset> rules_;
  image_pages pages_;
  name_table exact_;          ///< name -> fan
  name_table wildcard_;       ///< name below which -> fan
  std::uint32_t any_fan_ = 0; ///< for names that match no name rule
  std::size_t atoms_ = 0;
  std::vector<mp_limits> limits_;
  std::array<std::uint8_t, 32> hash_{};
};

/// The reference: judges straight from the ruleset, rule by rule, sharing no structure with
/// compile(). Linear time; for conformance tests and for explain().
[[nodiscard]] verdict reference_decide(const model::ruleset& rules, const flow& f);

} // namespace marchproxy::policy
