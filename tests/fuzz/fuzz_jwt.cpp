// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/identity/data_auth.hpp"
#include "actors/identity/jwt.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace marchproxy;

namespace {

/// One service whose HS256 secret no input of the fuzzer was made with.
const identity::authenticator& authenticator() {
  static const auto made = [] {
    model::ruleset rules;
    model::service web;
    web.id = service_id{1};
    web.name = "web";
    web.auth = model::auth_type::jwt;
    rules.services.push_back(web);
    rules.credentials.push_back({"k1", web.id, web.auth, "HS256",
                                 "vZ3yJ6mD0sQe8WlRk1tXb5nAo7uHc9pG2fViLxKzE4Y", std::nullopt});
    return identity::authenticator{rules};
  }();
  MP_INVARIANT(made.unusable().empty());
  return made;
}

} // namespace

/// Both as a header's value and as a token: nothing crashes, and nothing proves an identity.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const time_point now{std::chrono::seconds{1'800'000'000}};
  const identity::presented token{{}, std::string{bytes}};
  MP_INVARIANT(!authenticator().check(std::nullopt, &token, now));
  if (const auto shown = identity::parse_proxy_authorization(bytes)) {
    MP_INVARIANT(!shown->secret.empty());
    MP_INVARIANT(!authenticator().check(std::nullopt, &*shown, now));
  }
  return 0;
}
