// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <string_view>

/// The subjects of the bus, version 1. The NATS account is the cluster, so none names one.
/// asyncapi.yaml says which message travels on which; a test keeps the two equal.
namespace marchproxy::bus_schemas::subjects {

constexpr std::string_view config_phase = "mp.v1.config.phase";
constexpr std::string_view config_active = "mp.v1.cfg.all.active";
constexpr std::string_view request_mapping = "mp.v1.request.mapping";
constexpr std::string_view event_ingress_route_changed = "mp.v1.event.ingress_route.changed";
constexpr std::string_view event_mapping_changed = "mp.v1.event.mapping.changed";
constexpr std::string_view event_service_changed = "mp.v1.event.service.changed";
constexpr std::string_view event_revision_created = "mp.v1.event.revision.created";
constexpr std::string_view event_revision_committed = "mp.v1.event.revision.committed";
constexpr std::string_view event_revision_aborted = "mp.v1.event.revision.aborted";
constexpr std::string_view audit_record = "mp.v1.audit.record";

/// @p key: the proxy's public user key; @p sha256: of the whole ruleset, lower-case hex.
[[nodiscard]] inline std::string enroll(std::string_view key) {
  return std::string("mp.v1.enroll.").append(key);
}
[[nodiscard]] inline std::string proxy_ack(std::string_view key) {
  return std::string("mp.v1.proxy.").append(key).append(".ack");
}
[[nodiscard]] inline std::string proxy_status(std::string_view key) {
  return std::string("mp.v1.proxy.").append(key).append(".status");
}
/// @p service: id of the client's service, `0` when it belongs to none; @p verdict: `allow` or
/// `deny`.
[[nodiscard]] inline std::string verdict(std::string_view service, std::string_view verdict) {
  return std::string("mp.v1.verdict.").append(service).append(".").append(verdict);
}
[[nodiscard]] inline std::string config_chunk(std::string_view sha256, std::size_t index) {
  return std::string("mp.v1.cfg.all.chunk.")
    .append(sha256)
    .append(".")
    .append(std::to_string(index));
}

} // namespace marchproxy::bus_schemas::subjects
