// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/credentials.hpp"

#include <algorithm>

#include "actors/identity/data_auth.hpp"

namespace marchproxy::egress {

namespace {

class checker : public relay::credential_checker {
public:
  explicit checker(const model::ruleset& rules) : authenticator_(rules) {}

  [[nodiscard]] const identity::authenticator& authenticator() const noexcept { return authenticator_; }

  [[nodiscard]] std::optional<service_id> check(const policy::program& program,
                                                mapping_id mapping,
                                                const ip_address& source,
                                                const relay::credentials& shown) const override {
    const auto& all = program.rules().mappings;
    auto deciding = std::lower_bound(all.begin(), all.end(), mapping,
                                     [](const model::mapping& m, mapping_id id) { return m.id < id; });
    if (deciding == all.end() || deciding->id != mapping)
      return std::nullopt;
    identity::presented what{shown.user, shown.secret};
    auto candidates = sources_of(program, *deciding, source);
    auto proven = candidates ? authenticator_.check(std::span<const service_id>{*candidates}, &what, wall_now())
                             : authenticator_.check(std::nullopt, &what, wall_now());
    return proven ? std::optional{proven->service} : std::nullopt;
  }

private:
  /// The mapping's source services whose address contains @p source; nothing when any service will do.
  static std::optional<std::vector<service_id>>
  sources_of(const policy::program& program, const model::mapping& m, const ip_address& source) {
    std::vector<service_id> out;
    for (const auto& which : m.sources) {
      if (std::holds_alternative<model::select_all>(which))
        return std::nullopt;
      for (const auto* s : model::members(program.rules(), which)) {
        const auto* prefix = std::get_if<ip_prefix>(&s->address);
        if (prefix != nullptr && prefix->contains(source))
          out.push_back(s->id);
      }
    }
    return out;
  }

  identity::authenticator authenticator_;
};

} // namespace

result<std::shared_ptr<const relay::credential_checker>> make_checker(const policy::program& program) {
  auto made = std::make_shared<const checker>(program.rules());
  if (const auto& bad = made->authenticator().unusable(); !bad.empty())
    return fail(errc::invalid_argument, "credential " + bad.front());
  return made;
}

} // namespace marchproxy::egress
