// SPDX-License-Identifier: AGPL-3.0-only
// Any bytes as what a proxy takes a revision from: an announcement and the stream's answers with
// the chunks, in the order they come in. Parts end with a zero byte; an answer's first line is
// `status subject sequence`, the rest its chunk. The announcement is decoded, the chunks are
// fetched and joined, and the outcome is verified, by the code that a proxy does it with:
// - as sent, nothing but the two revisions that this cluster's key has signed may pass;
// - joined bytes that are a ruleset are announced and signed once more, as if the manager had made
//   them: they pass exactly if they compile.
#include "actors/base/error.hpp"
#include "actors/contracts/events.hpp"
#include "actors/crypto/digest.hpp"
#include "actors/crypto/encoding.hpp"
#include "actors/proxy/ruleset_fetch.hpp"
#include "actors/proxy/verification.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace marchproxy;

namespace {

const crypto::ed25519_key& policy_key() {
  static const auto key =
    crypto::ed25519_key::from_seed(crypto::secret{std::string(32, 'k')}).value();
  return key;
}

void announce(proxy::stored_revision& r, const std::string& cluster) {
  r.what.sha256 = crypto::sha256_hex(r.bytes);
  r.what.size = r.bytes.size();
  r.what.signature =
    crypto::to_hex(crypto::view(policy_key().sign(rollout::signed_text(cluster, r.what))));
}

proxy::stored_revision signed_revision(std::uint64_t number, std::uint32_t chunks) {
  auto rules = std::make_shared<model::ruleset>();
  rules->cluster = cluster_id{1};
  rules->cluster_name = "eu-1";
  rules->revision = revision{number};
  if (number > 1) {
    model::service web;
    web.id = service_id{1};
    web.name = "web";
    web.address = *parse_prefix("10.0.0.0/8");
    rules->services.push_back(web);
    model::mapping m;
    m.id = mapping_id{1};
    m.sources = {web.id};
    m.destinations = {model::select_all{}};
    m.ports = model::port_set{{{80, 443}}};
    rules->mappings.push_back(m);
  }
  proxy::stored_revision out;
  out.bytes = model::encode(*rules);
  out.what.revision = rules->revision;
  out.what.chunks = chunks;
  out.what.program_hash = policy::program::compile(rules).value()->hash_hex();
  announce(out, rules->cluster_name);
  return out;
}

/// All that the key has signed; corpus/config_chunk has them as they travel.
const std::vector<proxy::stored_revision>& signed_revisions() {
  static const std::vector<proxy::stored_revision> all{signed_revision(1, 1),
                                                       signed_revision(2, 3)};
  return all;
}

std::string_view until(std::string_view& rest, char end) {
  auto part = rest.substr(0, rest.find(end));
  rest.remove_prefix(std::min(part.size() + 1, rest.size()));
  return part;
}

bus::message answer(std::string_view part) {
  bus::message out{"_INBOX.1"};
  auto line = until(part, '\n');
  auto status = until(line, ' ');
  std::from_chars(status.data(), status.data() + status.size(), out.status);
  out.headers.push_back({"Nats-Subject", std::string{until(line, ' ')}});
  out.headers.push_back({"Nats-Sequence", std::string{line}});
  out.data = part;
  return out;
}

std::optional<rollout::announcement> announcement(std::string_view bytes) {
  if (auto prepare = bus_schemas::decode_event<bus_schemas::config_prepare>(bytes))
    return contracts::announcement_of(prepare->data);
  if (auto active = bus_schemas::decode_event<bus_schemas::config_active>(bytes))
    return contracts::announcement_of(active->data);
  return std::nullopt;
}

void as_if_signed(proxy::stored_revision r) {
  auto rules = model::decode_ruleset(r.bytes);
  if (!rules)
    return;
  proxy::policy_authority authority{rules->cluster_name, policy_key().public_key()};
  r.what.revision = rules->revision;
  auto program = policy::program::compile(std::make_shared<const model::ruleset>(*rules));
  r.what.program_hash = program ? (*program)->hash_hex() : std::string(64, '0');
  announce(r, authority.cluster);
  auto verified = proxy::verify(authority, r);
  MP_INVARIANT(verified.has_value() == program.has_value());
  if (verified)
    MP_INVARIANT((*verified)->rules() == *rules);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  auto what = announcement(until(rest, '\0'));
  if (!what)
    return 0;
  proxy::ruleset_fetch fetch{*what};
  while (auto index = fetch.next())
    if (!fetch.take(*index, answer(until(rest, '\0'))))
      return 0;
  MP_INVARIANT(fetch.whole());
  auto joined = fetch.join();
  MP_INVARIANT(joined.bytes.size() <= what->size);
  if (proxy::verify({"eu-1", policy_key().public_key()}, joined)) {
    const auto& known = signed_revisions();
    MP_INVARIANT(std::any_of(known.begin(), known.end(), [&](const proxy::stored_revision& one) {
      return one.what == joined.what && one.bytes == joined.bytes;
    }));
  }
  as_if_signed(std::move(joined));
  return 0;
}
