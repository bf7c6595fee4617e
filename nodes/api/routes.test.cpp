// SPDX-License-Identifier: AGPL-3.0-only
// Every route: what it answers when all is well, and to whom it answers at all.
#include "nodes/api/api_fixture.test.hpp"
#include "nodes/api/openapi.hpp"
#include "nodes/api/route.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace marchproxy::api {
namespace {

struct sample {
  std::string path;
  std::string body = {};
};

/// A request that succeeds, for each operation.
const std::map<std::string, sample>& samples() {
  static const std::map<std::string, sample> all = {
    {"listClusters", {"/api/v1/clusters"}},
    {"createCluster", {"/api/v1/clusters", R"({"name":"asia"})"}},
    {"getCluster", {"/api/v1/clusters/eu"}},
    {"replaceCluster", {"/api/v1/clusters/eu", R"({"name":"eu"})"}},
    {"patchCluster", {"/api/v1/clusters/1", R"({"description":"x"})"}},
    {"deleteCluster", {"/api/v1/clusters/eu"}},
    {"rotateClusterKey", {"/api/v1/clusters/eu/keys"}},
    {"createBusUser", {"/api/v1/clusters/eu/bus-users", R"({"role":"siem","name":"splunk"})"}},
    {"deleteClusterKey", {"/api/v1/clusters/eu/keys/1"}},
    {"listServices", {"/api/v1/clusters/eu/services"}},
    {"createService", {"/api/v1/clusters/eu/services", R"({"name":"db","address":"10.0.0.2"})"}},
    {"getService", {"/api/v1/clusters/eu/services/1"}},
    {"replaceService", {"/api/v1/clusters/eu/services/1", R"({"name":"web"})"}},
    {"patchService", {"/api/v1/clusters/eu/services/1", R"({"active":false})"}},
    {"deleteService", {"/api/v1/clusters/eu/services/5"}},
    {"listCredentials", {"/api/v1/clusters/eu/services/1/credentials"}},
    {"addCredential", {"/api/v1/clusters/eu/services/1/credentials", R"({"kind":"base64"})"}},
    {"deleteCredential", {"/api/v1/clusters/eu/services/1/credentials/c1"}},
    {"listMappings", {"/api/v1/clusters/eu/mappings"}},
    {"createMapping",
     {"/api/v1/clusters/eu/mappings", R"({"sources":["web"],"destinations":"all"})"}},
    {"getMapping", {"/api/v1/clusters/eu/mappings/9"}},
    {"replaceMapping", {"/api/v1/clusters/eu/mappings/9", R"({"sources":[],"destinations":[]})"}},
    {"patchMapping", {"/api/v1/clusters/eu/mappings/9", R"({"priority":7})"}},
    {"deleteMapping", {"/api/v1/clusters/eu/mappings/9"}},
    {"listIngressRoutes", {"/api/v1/clusters/eu/ingress-routes"}},
    {"createIngressRoute",
     {"/api/v1/clusters/eu/ingress-routes", R"({"name":"shop","backends":["web"]})"}},
    {"getIngressRoute", {"/api/v1/clusters/eu/ingress-routes/4"}},
    {"replaceIngressRoute",
     {"/api/v1/clusters/eu/ingress-routes/4", R"({"name":"shop","backends":["web"]})"}},
    {"patchIngressRoute", {"/api/v1/clusters/eu/ingress-routes/4", R"({"retries":0})"}},
    {"deleteIngressRoute", {"/api/v1/clusters/eu/ingress-routes/4"}},
    {"listProxies", {"/api/v1/clusters/eu/proxies"}},
    {"getProxy", {"/api/v1/clusters/eu/proxies/p1"}},
    {"revokeProxy", {"/api/v1/clusters/eu/proxies/p1"}},
    {"listRevisions", {"/api/v1/clusters/eu/revisions"}},
    {"getRevision", {"/api/v1/clusters/eu/revisions/7"}},
    {"restoreRevision", {"/api/v1/clusters/eu/revisions/6/restore"}},
    {"explain", {"/api/v1/clusters/eu/explain", R"({"source":"10.0.0.1","url":"http://a/"})"}},
    {"listAudit", {"/api/v1/audit"}},
    {"exportAudit", {"/api/v1/audit/export"}},
    {"login", {"/api/v1/auth/login", R"({"username":"alice","password":"right"})"}},
    {"logout", {"/api/v1/auth/logout"}},
    {"me", {"/api/v1/auth/me"}},
    {"listUsers", {"/api/v1/users"}},
    {"createUser", {"/api/v1/users", R"({"username":"bob","password":"long enough to be"})"}},
    {"setUserRoles", {"/api/v1/users/3/roles", R"({"roles":[]})"}},
    {"deleteUser", {"/api/v1/users/3"}},
    {"listApiKeys", {"/api/v1/api-keys"}},
    {"createApiKey", {"/api/v1/api-keys", R"({"name":"ci"})"}},
    {"deleteApiKey", {"/api/v1/api-keys/k1"}},
    {"registerProxy", {"/api/proxy/register", R"({"name":"edge"})"}},
    {"proxyHeartbeat", {"/api/proxy/heartbeat", R"({"name":"edge"})"}},
    {"proxyConfiguration", {"/api/config/eu"}},
    {"licenseStatus", {"/api/license-status"}},
    {"validateLicense", {"/api/license/validate", R"({"license_key":"x"})"}},
    {"health", {"/healthz"}},
    {"metrics", {"/metrics"}},
    {"openapi", {"/api/v1/openapi.json"}},
    {"status", {"/api/v1/status"}},
  };
  return all;
}

/// Enough of JSON Schema to hold answers against the document; @return the first fault, empty when
/// there is none.
std::string
fault(const json& schema, const json& value, const json& schemas, const std::string& at) {
  if (const auto ref = schema.find("$ref"); ref != schema.end()) {
    const auto name = ref->get<std::string>().substr(std::string("#/components/schemas").size());
    return fault(schemas.at(json::json_pointer(name)), value, schemas, at);
  }
  for (const auto& part : schema.value("allOf", json::array()))
    if (auto wrong = fault(part, value, schemas, at); !wrong.empty())
      return wrong;
  if (const auto choices = schema.find("oneOf"); choices != schema.end()) {
    const auto fitting = std::count_if(choices->begin(), choices->end(), [&](const json& one) {
      return fault(one, value, schemas, at).empty();
    });
    return fitting == 1 ? "" : at + ": fits " + std::to_string(fitting) + " choices";
  }
  if (schema.contains("const") && schema.at("const") != value)
    return at + ": is not the constant";
  if (const auto words = schema.find("enum");
      words != schema.end() && std::find(words->begin(), words->end(), value) == words->end())
    return at + ": " + value.dump() + " is not in the enum";
  if (schema.contains("maxProperties") && value.size() > schema.at("maxProperties"))
    return at + ": has too many properties";
  if (const auto type = schema.find("type"); type != schema.end()) {
    const auto types = type->is_array() ? *type : json::array({*type});
    std::string is = value.type_name();
    if (value.is_number_integer())
      is = "integer";
    if (std::find(types.begin(), types.end(), is) == types.end())
      return at + ": is " + is;
  }
  if (value.is_object()) {
    for (const auto& name : schema.value("required", json::array()))
      if (!value.contains(name.get<std::string>()))
        return at + "." + name.get<std::string>() + ": is missing";
    const auto properties = schema.value("properties", json::object());
    for (const auto& [name, property] : properties.items())
      if (value.contains(name))
        if (auto wrong = fault(property, value.at(name), schemas, at + "." + name); !wrong.empty())
          return wrong;
  }
  if (value.is_array() && schema.contains("items"))
    for (const auto& item : value)
      if (auto wrong = fault(schema.at("items"), item, schemas, at + "[]"); !wrong.empty())
        return wrong;
  return {};
}

class routes_test : public api_test {
protected:
  answer send_sample(const route& which, const std::string& key) {
    manager.services[5] = manager.services[1];
    const auto& good = samples().at(std::string(which.operation));
    return send(
      {.method = std::string(which.method), .path = good.path, .key = key, .body = good.body});
  }
  static std::string good_key(const route& which) {
    return which.needs == permission::proxy_key ? "key-eu" : "mpa_admin";
  }
};

TEST_F(routes_test, every_operation_has_a_sample_and_a_name_of_its_own) {
  std::set<std::string> names;
  for (const auto& which : routes()) {
    EXPECT_TRUE(names.insert(std::string(which.operation)).second) << which.operation;
    EXPECT_TRUE(samples().count(std::string(which.operation))) << which.operation;
  }
  EXPECT_EQ(names.size(), samples().size());
}

TEST_F(routes_test, every_route_answers_as_its_document_says) {
  const auto document = openapi_document();
  const auto& schemas = document.at("components").at("schemas");
  for (const auto& which : routes()) {
    // An API key has no session to end; sessions have a test of their own.
    if (which.operation == "logout")
      continue;
    const auto got = send_sample(which, good_key(which));
    EXPECT_EQ(got.status, which.status) << which.operation << ": " << got.text;
    std::string method(which.method);
    std::transform(method.begin(), method.end(), method.begin(),
                   [](char c) { return static_cast<char>(c - 'A' + 'a'); });
    const auto& operation = document.at("paths").at(std::string(which.path)).at(method);
    if (which.media != "application/json")
      continue;
    const auto& schema = operation.at("responses")
                           .at(std::to_string(which.status))
                           .at("content")
                           .at("application/json")
                           .at("schema");
    EXPECT_EQ(fault(schema, got.body, schemas, "body"), "") << which.operation << ": " << got.text;
  }
}

TEST_F(routes_test, nobody_is_served_who_is_not_known) {
  for (const auto& which : routes()) {
    if (which.needs == permission::none)
      continue;
    for (const std::string key : {"", "mpa_wrong"}) {
      const auto got = send_sample(which, key);
      EXPECT_EQ(got.status, 401) << which.operation;
      EXPECT_EQ(got.error_code(), "unauthenticated") << which.operation;
      EXPECT_NE(got.header("WWW-Authenticate"), "") << which.operation;
    }
  }
}

/// IDN-1: the whole matrix of who and what. Samples are about the cluster eu.
TEST_F(routes_test, each_role_may_do_exactly_what_the_matrix_says) {
  const std::map<std::string, std::set<permission>> matrix = {
    {"mpa_admin",
     {permission::authenticated, permission::configuration_read, permission::configuration_write,
      permission::cluster_operate, permission::administer}},
    {"mpa_operator",
     {permission::authenticated, permission::configuration_read, permission::configuration_write,
      permission::cluster_operate}},
    {"mpa_owner",
     {permission::authenticated, permission::configuration_read, permission::configuration_write}},
    {"mpa_nobody", {permission::authenticated}},
  };
  for (const auto& [key, may_do] : matrix)
    for (const auto& which : routes()) {
      if (which.needs == permission::none || which.needs == permission::proxy_key)
        continue;
      const auto got = send_sample(which, key);
      const bool allowed = got.status != 403;
      EXPECT_EQ(allowed, may_do.count(which.needs) == 1)
        << key << " " << which.operation << " " << got.status;
    }
}

TEST_F(routes_test, a_service_owner_has_no_say_in_another_cluster) {
  for (const auto* method : {"GET", "POST"}) {
    const auto got = send({.method = method,
                           .path = "/api/v1/clusters/us/services",
                           .key = "mpa_owner",
                           .body = std::string(method) == "POST" ? R"({"name":"x"})" : ""});
    EXPECT_EQ(got.status, 403) << method;
  }
}

TEST_F(routes_test, a_reading_key_reads_and_explains_and_changes_nothing) {
  for (const auto& which : routes()) {
    if (which.needs != permission::configuration_read
        && which.needs != permission::configuration_write)
      continue;
    const auto got = send_sample(which, "mpa_reader");
    const bool changes = which.method != "GET" && which.operation != "explain";
    EXPECT_EQ(got.status == 403, changes) << which.operation << " " << got.status;
  }
}

TEST_F(routes_test, what_a_path_names_and_is_not_there_is_404) {
  for (const auto* path :
       {"/api/v1/clusters/mars", "/api/v1/clusters/mars/services",
        "/api/v1/clusters/eu/services/99", "/api/v1/clusters/eu/services/web",
        "/api/v1/clusters/eu/mappings/1", "/api/v1/clusters/eu/proxies/p9",
        "/api/v1/clusters/eu/revisions/0", "/api/v2/clusters", "/", "/api/v1/clusters/",
        "/api/v1/clusters//services", "/api/v1/clusters/%00"}) {
    const auto got = send({.path = path});
    EXPECT_EQ(got.status, 404) << path;
    EXPECT_EQ(got.error_code(), "not_found") << path;
  }
}

TEST_F(routes_test, routes_and_document_are_the_same_set) {
  const auto served = send({.path = "/api/v1/openapi.json", .key = ""}).body;
  EXPECT_EQ(served, openapi_document());
  std::set<std::string> documented;
  for (const auto& [path, operations] : served.at("paths").items())
    for (const auto& [method, operation] : operations.items())
      documented.insert(method + " " + path + " " + operation.at("operationId").get<std::string>());
  std::set<std::string> routed;
  for (const auto& which : routes()) {
    std::string method(which.method);
    std::transform(method.begin(), method.end(), method.begin(),
                   [](char c) { return static_cast<char>(c - 'A' + 'a'); });
    routed.insert(method + " " + std::string(which.path) + " " + std::string(which.operation));
  }
  EXPECT_EQ(documented, routed);
}

void check_references(const json& node, const json& document) {
  if (node.is_object() && node.contains("$ref")) {
    const auto ref = node.at("$ref").get<std::string>();
    EXPECT_TRUE(document.contains(json::json_pointer(ref.substr(1)))) << ref;
  }
  if (node.is_structured())
    for (const auto& child : node)
      check_references(child, document);
}

TEST_F(routes_test, every_reference_of_the_document_leads_somewhere) {
  const auto document = openapi_document();
  check_references(document, document);
}

} // namespace
} // namespace marchproxy::api
