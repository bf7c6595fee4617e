// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/verdict.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace marchproxy::serving {

namespace {

constexpr std::size_t longest_asked = 300;
constexpr std::size_t longest_name = 253;

/// Names are checked on their way in; were one no text all the same, the event still would be.
std::string plain(std::string_view text, std::size_t longest) {
  std::string out{text.substr(0, longest)};
  std::replace_if(
    out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

std::optional<std::string> if_any(std::string text) {
  return text.empty() ? std::nullopt : std::optional{std::move(text)};
}

template <class Id>
std::optional<std::uint64_t> if_any(Id id) {
  return id ? std::optional{id.value} : std::nullopt;
}

} // namespace

service_id client_services::at(const std::shared_ptr<const policy::program>& program,
                               const ip_address& client) {
  if (!program)
    return {};
  if (of_.lock() != program || known_.size() >= remembered) {
    of_ = program;
    known_.clear();
  }
  auto [place, is_new] = known_.try_emplace(client);
  if (is_new)
    if (auto services = program->sources_at(client); !services.empty())
      place->second = services.front();
  return place->second;
}

bus_schemas::flow_verdict
to_verdict(const relay::decision_record& r, const std::string& proxy, service_id service) {
  using told = bus_schemas::flow_verdict;
  told out;
  out.proxy = proxy;
  out.tier = relay::tier_name;
  out.request = relay::request_text(r.request);
  out.via = to_string(r.via);
  out.protocol =
    r.protocol == model::protocol::udp ? told::protocol_value::udp : told::protocol_value::tcp;
  out.source = to_string(r.source.address);
  out.source_port = r.source.port;
  out.service = if_any(r.identity ? r.identity : service);
  out.identity = if_any(r.identity);
  out.credential = if_any(r.credential);
  out.asked = plain(r.asked, longest_asked);
  out.name = if_any(plain(r.name, longest_name));
  out.sni = if_any(plain(r.sni, longest_name));
  if (r.address)
    out.address = to_string(*r.address);
  if (r.lease_ends)
    out.lease_ends = format_time(*r.lease_ends);
  out.port = r.port;
  out.verdict = r.allowed ? told::verdict_value::allow : told::verdict_value::deny;
  out.reason = to_string(r.why);
  if (r.observed) {
    out.verdict = told::verdict_value::shadow;
    out.observed = to_string(*r.observed);
  }
  out.limit = if_any(r.limit);
  out.mapping = if_any(r.mapping);
  out.revision = r.revision.value;
  out.bytes_up = r.bytes_up;
  out.bytes_down = r.bytes_down;
  out.started = format_time(r.started);
  out.ended = format_time(r.ended);
  return out;
}

} // namespace marchproxy::serving
