// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/bus/roles.hpp"

#include "actors/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>

namespace marchproxy::bus {
namespace {

using nlohmann::json;
using std::string_view;

// An inbox per user: a shared `_INBOX.>` would show every reply to everybody in the account.
constexpr string_view own_inbox = "_INBOX.{{subject()}}.>";

constexpr std::array denied{
  string_view{"$JS.API.ACCOUNT.PURGE.>"},
  string_view{"$JS.API.ACCOUNT.STREAM.>"},
  string_view{"$JS.API.SERVER.>"},
  string_view{"$JS.API.META.>"},
  string_view{"$JS.API.STREAM.DELETE.AUDIT"},
  string_view{"$JS.API.STREAM.PURGE.AUDIT"},
};

constexpr std::array everything{string_view{">"}};
constexpr std::array only_inbox{own_inbox};

constexpr std::array proxy_publish{
  string_view{"mp.v1.proxy.{{subject()}}.>"},
  string_view{"mp.v1.enroll.renew.{{subject()}}"},
  string_view{"mp.v1.verdict.>"},
  string_view{"$JS.API.DIRECT.GET.CFG.mp.v1.cfg.all.>"},
  string_view{"$JS.API.DIRECT.GET.CFG.mp.v1.cfg.proxy.{{subject()}}.>"},
};
constexpr std::array proxy_subscribe{
  string_view{"mp.v1.config.>"},
  string_view{"mp.v1.cmd.proxy.{{subject()}}.>"},
  own_inbox,
};
constexpr std::array join_publish{string_view{"mp.v1.enroll.{{subject()}}"}};
constexpr std::array automation_publish{string_view{"mp.v1.request.>"}};
constexpr std::array automation_subscribe{string_view{"mp.v1.event.>"}, own_inbox};
constexpr std::array siem_subscribe{string_view{"mp.v1.verdict.>"}, own_inbox};
constexpr std::array siem_publish{
  string_view{"$JS.API.CONSUMER.MSG.NEXT.AUDIT.{{name()}}"},
  string_view{"$JS.API.CONSUMER.INFO.AUDIT.{{name()}}"},
  string_view{"$JS.ACK.AUDIT.{{name()}}.>"},
};

constexpr std::array table{
  role_rights{role::manager, "manager",
              "the manager's own connection: everything inside the account", everything, everything,
              -1, false},
  role_rights{role::proxy, "proxy",
              "an enrolled proxy: its acknowledgements, status, renewals and verdicts; the "
              "configuration for all and "
              "its own; commands to it",
              proxy_publish, proxy_subscribe, 100, true},
  role_rights{
    role::join, "join",
    "whoever holds the cluster key: may ask for enrolment under its own user key, nothing else",
    join_publish, only_inbox, 4, false},
  role_rights{role::automation, "automation", "requests changes and hears the events that follow",
              automation_publish, automation_subscribe, 100, false},
  role_rights{role::siem, "siem",
              "pulls from the AUDIT stream through the consumer of its own name; hears verdicts",
              siem_publish, siem_subscribe, 16, false},
};

constexpr std::chrono::nanoseconds reply_window = std::chrono::seconds{30};

json list(std::span<const string_view> subjects) {
  auto array = json::array();
  for (const auto subject : subjects)
    array.push_back(std::string{subject});
  return array;
}

} // namespace

std::span<const role_rights> roles() noexcept {
  return table;
}

const role_rights& rights_of(role who) noexcept {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [who](const auto& rights) { return rights.who == who; });
  MP_INVARIANT(found != table.end());
  return *found;
}

string_view to_string(role who) noexcept {
  return rights_of(who).name;
}

std::optional<role> parse_role(string_view name) noexcept {
  for (const auto& rights : table)
    if (rights.name == name)
      return rights.who;
  return std::nullopt;
}

std::span<const string_view> denied_to_all() noexcept {
  return denied;
}

json permissions(const role_rights& rights) {
  json object{{"pub", {{"allow", list(rights.publish)}, {"deny", list(denied)}}},
              {"sub", {{"allow", list(rights.subscribe)}}}};
  if (rights.answers)
    object["resp"] = {{"max", 1}, {"ttl", reply_window.count()}};
  return object;
}

json scoped_key(const role_rights& rights, string_view signing_key) {
  auto limits = permissions(rights);
  limits["subs"] = rights.subscriptions;
  limits["data"] = -1;
  limits["payload"] = -1;
  limits["allowed_connection_types"] = json::array({"STANDARD"});
  return {{"kind", "user_scope"},
          {"key", std::string{signing_key}},
          {"role", std::string{rights.name}},
          {"template", std::move(limits)}};
}

} // namespace marchproxy::bus
