// SPDX-License-Identifier: AGPL-3.0-only
// The shapes that the API takes and returns. Canonical forms are those of actors/model.
#include "nodes/api/openapi.hpp"

#include <nlohmann/json.hpp>

namespace marchproxy::api {

namespace {

// One literal per subject: they are data, and read best as what they are.
constexpr const char* envelope_schemas = R"json({
  "FieldError": {"type": "object", "required": ["field", "message"], "properties": {
    "field": {"type": "string"}, "message": {"type": "string"}}},
  "ErrorEnvelope": {"type": "object", "required": ["success", "error", "timestamp", "request_id"], "properties": {
    "success": {"const": false},
    "error": {"type": "object", "required": ["code", "message", "details"], "properties": {
      "code": {"type": "string"}, "message": {"type": "string"},
      "details": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}}}},
    "timestamp": {"type": "string", "format": "date-time"}, "request_id": {"type": "string"}}},
  "RolloutOutcome": {"type": "object", "required": ["number", "state", "reason", "proxies"], "properties": {
    "number": {"type": "integer"}, "state": {"enum": ["in_force", "pending", "aborted"]}, "reason": {"type": "string"},
    "proxies": {"type": "object", "required": ["expected", "applied"], "properties": {
      "expected": {"type": "integer"}, "applied": {"type": "integer"}}}}},
  "OpenApi": {"type": "object", "required": ["openapi", "info", "paths"]},
  "Health": {"type": "object", "required": ["status", "version", "dependencies"], "properties": {
    "status": {"enum": ["ok", "failed"]}, "version": {"type": "string"},
    "dependencies": {"type": "object", "additionalProperties": {"type": "object", "required": ["status", "detail"],
      "properties": {"status": {"enum": ["ok", "failed"]}, "detail": {"type": "string"}}}}}},
  "Status": {"type": "object"}
})json";

constexpr const char* configuration_schemas = R"json({
  "Cluster": {"type": "object", "required": ["id", "name", "description", "max_proxies", "observe"],
    "properties": {
    "id": {"type": "integer"}, "name": {"type": "string"}, "description": {"type": "string"},
    "max_proxies": {"type": "integer", "description": "Seats; 0 means no limit of its own"},
    "observe": {"type": "boolean", "description": "Nothing that its policy refuses is refused: it is let through and told"}}},
  "ClusterInput": {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
    "description": {"type": "string"}, "max_proxies": {"type": "integer", "minimum": 0},
    "observe": {"type": "boolean", "default": false}}},
  "ClusterPatch": {"type": "object", "description": "Any of ClusterInput's fields"},
  "NewCluster": {"allOf": [{"$ref": "#/components/schemas/Cluster"}, {"type": "object", "required": ["api_key"],
    "properties": {"api_key": {"type": "string", "description": "CLUSTER_API_KEY, shown once"}}}]},
  "KeyRotation": {"type": "object", "properties": {"overlap_seconds": {"type": "integer", "minimum": 0,
    "maximum": 2592000, "default": 86400, "description": "How long former keys live on"}}},
  "ClusterKey": {"type": "object", "required": ["id", "api_key"], "properties": {"id": {"type": "string"},
    "api_key": {"type": "string"}, "former_valid_until": {"type": ["string", "null"], "format": "date-time"}}},
  "BusUserInput": {"type": "object", "required": ["role", "name"], "properties": {
    "role": {"enum": ["automation", "siem"]}, "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$",
      "description": "For siem also its consumer on the stream AUDIT"},
    "valid_seconds": {"type": "integer", "minimum": 60, "maximum": 31536000, "default": 31536000}}},
  "BusUser": {"type": "object", "required": ["role", "name", "user", "jwt", "seed", "creds", "expires_at"],
    "properties": {"role": {"type": "string"}, "name": {"type": "string"}, "user": {"type": "string"},
    "jwt": {"type": "string"}, "seed": {"type": "string"}, "creds": {"type": "string",
      "description": "A .creds file as NATS clients read it"}, "expires_at": {"type": "string", "format": "date-time"}}},
  "HealthCheck": {"type": "object", "properties": {"enabled": {"type": "boolean"}, "path": {"type": "string"},
    "interval": {"type": "integer", "description": "Seconds"}, "healthy_threshold": {"type": "integer"},
    "unhealthy_threshold": {"type": "integer"}}},
  "Ports": {"description": "80, \"80,443,8000-8080\", {\"start\": 1, \"end\": 9}, or an array of those; empty: any",
    "type": ["integer", "string", "object", "array", "null"]},
  "Protocols": {"description": "tcp, udp, icmp; empty: any", "type": ["array", "string"],
    "items": {"enum": ["tcp", "udp", "icmp"]}},
  "RateLimit": {"type": ["object", "null"], "required": ["rate"], "properties": {
    "rate": {"type": "integer", "minimum": 1, "description": "In each interval"},
    "interval": {"type": "integer", "minimum": 1, "maximum": 86400, "default": 1, "description": "Seconds"},
    "burst": {"type": "integer", "minimum": 1, "description": "At once; not given: one second of the rate, at least 1"}}},
  "Limits": {"type": ["object", "null"], "description": "At least one of connections, max_connections, requests, packets, bytes",
    "properties": {"per": {"enum": ["mapping", "service", "source"],
      "description": "Shared by all flows (mapping or service, as it is one's), or each source has them for itself"},
    "connections": {"$ref": "#/components/schemas/RateLimit"},
    "max_connections": {"type": ["integer", "null"], "minimum": 1, "description": "At once"},
    "requests": {"$ref": "#/components/schemas/RateLimit"}, "packets": {"$ref": "#/components/schemas/RateLimit"},
    "bytes": {"$ref": "#/components/schemas/RateLimit"}}},
  "Service": {"type": "object", "required": ["id", "cluster_id", "name", "address", "ports", "protocols", "collection",
    "auth_type", "tls_enabled", "tls_verify", "health_check", "listen_port", "active", "limits", "proxy_protocol"],
    "properties": {
    "id": {"type": "integer"}, "cluster_id": {"type": "integer"}, "name": {"type": "string"},
    "description": {"type": "string"}, "address": {"type": "string"}, "ports": {"type": "string"},
    "protocols": {"type": "array", "items": {"enum": ["tcp", "udp", "icmp"]}}, "collection": {"type": "string"},
    "auth_type": {"enum": ["none", "base64", "jwt"]}, "tls_enabled": {"type": "boolean"},
    "tls_verify": {"type": "boolean"}, "health_check": {"$ref": "#/components/schemas/HealthCheck"},
    "listen_port": {"type": ["integer", "null"]}, "active": {"type": "boolean"},
    "limits": {"$ref": "#/components/schemas/Limits"}, "proxy_protocol": {"enum": ["off", "v1", "v2"]}}},
  "ServiceInput": {"type": "object", "required": ["name", "address"], "properties": {
    "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"}, "description": {"type": "string"},
    "address": {"type": "string", "description": "IP, CIDR, name or wildcard name"},
    "ports": {"$ref": "#/components/schemas/Ports"}, "protocols": {"$ref": "#/components/schemas/Protocols"},
    "collection": {"type": "string"}, "auth_type": {"enum": ["none", "base64", "jwt", "api_key"]},
    "tls_enabled": {"type": "boolean"}, "tls_verify": {"type": "boolean"},
    "health_check": {"$ref": "#/components/schemas/HealthCheck"},
    "listen_port": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535}, "active": {"type": "boolean"},
    "limits": {"$ref": "#/components/schemas/Limits"},
    "proxy_protocol": {"enum": ["off", "v1", "v2"], "default": "off",
      "description": "Connections by listen_port and ingress routes begin with a PROXY header"}}},
  "ServicePatch": {"type": "object", "description": "Any of ServiceInput's fields"},
  "Credential": {"type": "object", "required": ["id", "service_id", "kind", "algorithm", "expires_at"], "properties": {
    "id": {"type": "string"}, "service_id": {"type": "integer"}, "kind": {"enum": ["base64", "jwt"]},
    "algorithm": {"type": "string"}, "expires_at": {"type": ["integer", "null"]}}},
  "CredentialInput": {"type": "object", "properties": {"id": {"type": "string"}, "kind": {"enum": ["base64", "jwt"]},
    "algorithm": {"enum": ["", "HS256", "RS256", "ES256", "EdDSA"]}, "verifier": {"type": "string"},
    "expires_at": {"type": ["integer", "null"]}}},
  "NewCredential": {"allOf": [{"$ref": "#/components/schemas/Credential"}, {"type": "object", "properties": {
    "token": {"type": "string", "description": "Made by the manager, shown once"}}}]},
  "Selector": {"oneOf": [
    {"type": "object", "required": ["type", "id"], "properties": {"type": {"const": "service"}, "id": {"type": "integer"}}},
    {"type": "object", "required": ["type", "name"], "properties": {"type": {"const": "collection"},
      "name": {"type": "string"}}},
    {"type": "object", "required": ["type"], "properties": {"type": {"const": "all"}}, "maxProperties": 1}]},
  "SelectorsInput": {"description": "Ids, names, collection:NAME, all, typed objects, or a comma text of them",
    "type": ["array", "string", "integer", "object"]},
  "Mapping": {"type": "object", "required": ["id", "cluster_id", "name", "sources", "destinations", "protocols",
    "ports", "auth_required", "priority", "comment", "active", "action", "allow_private", "limits",
    "observe", "when_revoked", "drain_seconds"],
    "properties": {
    "id": {"type": "integer"}, "cluster_id": {"type": "integer"}, "name": {"type": "string"},
    "sources": {"type": "array", "items": {"$ref": "#/components/schemas/Selector"}},
    "destinations": {"type": "array", "items": {"$ref": "#/components/schemas/Selector"}},
    "protocols": {"type": "array", "items": {"enum": ["tcp", "udp", "icmp"]}}, "ports": {"type": "string"},
    "auth_required": {"type": "boolean"}, "priority": {"type": "integer"}, "comment": {"type": "string"},
    "active": {"type": "boolean"}, "action": {"enum": ["allow", "deny", "bypass"]},
    "allow_private": {"type": "boolean"}, "limits": {"$ref": "#/components/schemas/Limits"},
    "observe": {"type": "boolean", "description": "What it would refuse is let through and told"},
    "when_revoked": {"enum": ["cut", "drain", "finish"],
      "description": "What becomes of its connections when a revision refuses them"},
    "drain_seconds": {"type": "integer", "description": "Of drain"}}},
  "MappingInput": {"type": "object", "required": ["sources", "destinations"], "properties": {
    "name": {"type": "string"}, "sources": {"$ref": "#/components/schemas/SelectorsInput"},
    "destinations": {"$ref": "#/components/schemas/SelectorsInput"},
    "protocols": {"$ref": "#/components/schemas/Protocols"}, "ports": {"$ref": "#/components/schemas/Ports"},
    "auth_required": {"type": "boolean"}, "priority": {"type": "integer", "minimum": 0, "maximum": 65535},
    "comment": {"type": "string"}, "active": {"type": "boolean"}, "action": {"enum": ["allow", "deny", "bypass"]},
    "allow_private": {"type": "boolean"}, "limits": {"$ref": "#/components/schemas/Limits"},
    "observe": {"type": "boolean", "default": false},
    "when_revoked": {"enum": ["cut", "drain", "finish"], "default": "cut"},
    "drain_seconds": {"type": "integer", "minimum": 1, "maximum": 86400, "default": 30}}},
  "MappingPatch": {"type": "object", "description": "Any of MappingInput's fields"},
  "IngressBackend": {"type": "object", "required": ["service", "port", "weight"], "properties": {
    "service": {"type": "integer"}, "port": {"type": ["integer", "null"], "description": "null: the service's only one"},
    "weight": {"type": "integer", "minimum": 1, "maximum": 1000},
    "draining": {"type": "boolean", "description": "Gets nothing new"}}},
  "Redirect": {"type": "object", "required": ["location"], "properties": {
    "status": {"enum": [301, 302, 303, 307, 308], "default": 308},
    "location": {"type": "string", "description": "A URL or a path; {path} stands for the request's path and query"}}},
  "HeaderCondition": {"type": "object", "required": ["name"], "minProperties": 2, "maxProperties": 2,
    "description": "name, and one of the others", "properties": {
    "name": {"type": "string"}, "value": {"type": "string", "maxLength": 255, "description": "All of it; case counts"},
    "prefix": {"type": "string", "maxLength": 255}, "present": {"const": true}, "absent": {"const": true}}},
  "HeaderConditions": {"type": "array", "maxItems": 8, "items": {"$ref": "#/components/schemas/HeaderCondition"},
    "description": "All must hold; of routes with the same host and path, the one with most of them counts"},
  "IngressRoute": {"type": "object", "required": ["id", "cluster_id", "name", "description", "protocol", "listen_port",
    "host", "path", "path_match", "headers", "backends", "balancing", "strip_prefix", "add_prefix", "request_headers",
    "response_headers", "redirect", "tls", "retries", "retry_budget", "slow_start", "max_requests",
    "active"], "properties": {
    "id": {"type": "integer"}, "cluster_id": {"type": "integer"}, "name": {"type": "string"},
    "description": {"type": "string"}, "protocol": {"enum": ["http", "tcp"]}, "listen_port": {"type": "integer"},
    "host": {"type": "string"}, "path": {"type": "string"}, "path_match": {"enum": ["prefix", "exact"]},
    "headers": {"$ref": "#/components/schemas/HeaderConditions"},
    "backends": {"type": "array", "items": {"$ref": "#/components/schemas/IngressBackend"}},
    "balancing": {"enum": ["round_robin", "least_connections", "source_hash"]}, "strip_prefix": {"type": "boolean"},
    "add_prefix": {"type": "string"}, "request_headers": {"type": "object"},
    "response_headers": {"type": "object"},
    "redirect": {"type": ["object", "null"]},
    "tls": {"oneOf": [{"$ref": "#/components/schemas/RouteTls"}, {"type": "null"}]},
    "retries": {"type": "integer"}, "retry_budget": {"type": "integer"}, "slow_start": {"type": "integer"},
    "max_requests": {"type": ["integer", "null"]}, "active": {"type": "boolean"}}},
  "ClientCertificates": {"type": "object", "description": "One of these names is required; none listed: any certificate",
    "properties": {"common_names": {"type": "array", "items": {"type": "string"}},
    "dns_names": {"type": "array", "items": {"type": "string"}}, "uris": {"type": "array", "items": {"type": "string"}}}},
  "RouteTls": {"type": "object", "properties": {
    "client_certificates": {"oneOf": [{"$ref": "#/components/schemas/ClientCertificates"}, {"type": "boolean"},
      {"type": "null"}], "description": "Required, unless null or false"}}},
  "IngressRouteInput": {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"}, "description": {"type": "string"},
    "protocol": {"enum": ["http", "tcp"], "default": "http", "description": "tcp: the port is the route's alone"},
    "listen_port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 80,
      "description": "443 with tls"},
    "host": {"type": "string", "description": "A name, *.NAME or an address; empty: any"},
    "path": {"type": "string", "default": "/"}, "path_match": {"enum": ["prefix", "exact"], "default": "prefix"},
    "headers": {"$ref": "#/components/schemas/HeaderConditions"},
    "backends": {"description": "Services by id or name, or objects of service, port, weight and draining; none with a redirect",
      "type": ["array", "integer", "string", "object", "null"]},
    "balancing": {"enum": ["round_robin", "least_connections", "source_hash"], "default": "round_robin"},
    "strip_prefix": {"type": "boolean", "default": false},
    "add_prefix": {"type": "string", "description": "Before the path that goes on"},
    "request_headers": {"type": "object", "additionalProperties": {"type": ["string", "null"]},
      "description": "Set to the value, or removed where it is null"},
    "response_headers": {"type": "object", "additionalProperties": {"type": ["string", "null"]},
      "description": "The same for backends' answers"},
    "redirect": {"oneOf": [{"$ref": "#/components/schemas/Redirect"}, {"type": "null"}]},
    "tls": {"oneOf": [{"$ref": "#/components/schemas/RouteTls"}, {"type": "boolean"}, {"type": "null"}],
      "description": "Clients speak TLS to the proxy; all active routes of a port agree on it"},
    "retries": {"type": "integer", "minimum": 0, "maximum": 10, "default": 1},
    "retry_budget": {"type": "integer", "minimum": 0, "maximum": 100, "default": 20,
      "description": "Percent of what is under way that may be retries; 3 may be in any case"},
    "slow_start": {"type": "integer", "minimum": 0, "maximum": 3600, "default": 0,
      "description": "Seconds until a backend that comes, or comes back, has its whole share"},
    "max_requests": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000000,
      "description": "Requests and connections under way at one backend; null: no bound"}, "active": {"type": "boolean"}}},
  "IngressRoutePatch": {"type": "object", "description": "Any of IngressRouteInput's fields"}
})json";

constexpr const char* operation_schemas = R"json({
  "Proxy": {"type": "object", "required": ["id", "name", "kind", "state"], "properties": {
    "id": {"type": "string"}, "name": {"type": "string"}, "kind": {"enum": ["egress", "ingress"]},
    "state": {"type": "string"}, "hostname": {"type": "string"}, "version": {"type": "string"},
    "revision": {"type": ["integer", "null"]}, "last_seen": {"type": ["string", "null"], "format": "date-time"}}},
  "Revision": {"type": "object", "required": ["number", "state"], "properties": {"number": {"type": "integer"},
    "state": {"type": "string"}, "reason": {"type": "string"}, "created_at": {"type": "string", "format": "date-time"}}},
  "ExplainInput": {"type": "object", "required": ["source"], "properties": {"source": {"type": "string"},
    "destination": {"type": "string", "description": "Address or name"}, "url": {"type": "string"},
    "port": {"type": "integer", "minimum": 0, "maximum": 65535}, "protocol": {"enum": ["tcp", "udp", "icmp"]},
    "revision": {"type": "integer", "minimum": 1}}},
  "ExplainResult": {"type": "object"},
  "AuditRecord": {"type": "object", "required": ["ledger", "sequence", "time", "actor", "source", "action", "resource",
    "outcome", "previous_hash", "hash"], "properties": {"ledger": {"type": "string"}, "sequence": {"type": "integer"},
    "time": {"type": "string", "format": "date-time"},
    "actor": {"type": "object", "required": ["kind", "id", "name"]}, "source": {"type": "string"},
    "action": {"type": "string"}, "resource": {"type": "object", "required": ["type", "id", "name"]},
    "revision": {"type": ["integer", "null"]}, "outcome": {"type": "string"}, "before": {}, "after": {},
    "previous_hash": {"type": "string"}, "hash": {"type": "string"}}}
})json";

constexpr const char* identity_schemas = R"json({
  "Login": {"type": "object", "required": ["username", "password"], "properties": {
    "username": {"type": "string", "maxLength": 128}, "password": {"type": "string", "maxLength": 1024}}},
  "Grant": {"type": "object", "required": ["role", "cluster_id"], "properties": {
    "role": {"enum": ["administrator", "service_owner"]}, "cluster_id": {"type": ["integer", "null"],
      "description": "null: every cluster"}}},
  "Principal": {"type": "object", "required": ["kind", "id", "name", "roles", "read_only"], "properties": {
    "kind": {"enum": ["user", "api_key"]}, "id": {"type": "string"}, "name": {"type": "string"},
    "roles": {"type": "array", "items": {"$ref": "#/components/schemas/Grant"}}, "read_only": {"type": "boolean"},
    "csrf_token": {"type": "string"}}},
  "Session": {"type": "object", "required": ["csrf_token", "expires_in", "user"], "properties": {
    "csrf_token": {"type": "string"}, "expires_in": {"type": "integer", "description": "Seconds"},
    "user": {"$ref": "#/components/schemas/Principal"}}},
  "RolesInput": {"type": "object", "required": ["roles"], "properties": {
    "roles": {"type": "array", "items": {"type": "object", "required": ["role"], "properties": {
      "role": {"enum": ["administrator", "service_owner"]}, "cluster": {"type": ["string", "integer", "null"],
        "description": "Id or name; null: every cluster"}}}}}},
  "User": {"type": "object", "required": ["id", "username", "roles"], "properties": {"id": {"type": "integer"},
    "username": {"type": "string"}, "active": {"type": "boolean"},
    "roles": {"type": "array", "items": {"$ref": "#/components/schemas/Grant"}}}},
  "UserInput": {"type": "object", "required": ["username", "password"], "properties": {
    "username": {"type": "string"}, "password": {"type": "string", "minLength": 12},
    "roles": {"$ref": "#/components/schemas/RolesInput/properties/roles"}}},
  "ApiKey": {"type": "object", "required": ["id", "name", "scope", "expires_at"], "properties": {
    "id": {"type": "string"}, "name": {"type": "string"}, "scope": {"enum": ["read", "write"]},
    "expires_at": {"type": ["string", "null"], "format": "date-time"}}},
  "ApiKeyInput": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"},
    "scope": {"enum": ["read", "write"], "default": "write"},
    "expires_at": {"type": ["string", "null"], "format": "date-time"}}},
  "NewApiKey": {"allOf": [{"$ref": "#/components/schemas/ApiKey"}, {"type": "object", "required": ["api_key"],
    "properties": {"api_key": {"type": "string", "description": "Shown once"}}}]}
})json";

constexpr const char* contract_schemas = R"json({
  "ProxyRegistration": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"},
    "hostname": {"type": "string"}, "version": {"type": "string"}, "proxy_type": {"type": "string"}}},
  "ProxyRegistered": {"type": "object"},
  "ProxyHeartbeat": {"type": "object"},
  "ProxyHeartbeatAnswer": {"type": "object"},
  "ProxyConfiguration": {"type": "object"},
  "LicenseStatus": {"type": "object"},
  "LicenseInput": {"type": "object", "properties": {"license_key": {"type": "string"}}},
  "LicenseValidation": {"type": "object"}
})json";

} // namespace

nlohmann::json openapi_schemas() {
  auto out = nlohmann::json::object();
  for (const auto* part : {envelope_schemas, configuration_schemas, operation_schemas,
                           identity_schemas, contract_schemas})
    out.update(nlohmann::json::parse(part));
  return out;
}

} // namespace marchproxy::api
