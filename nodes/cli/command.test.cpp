// SPDX-License-Identifier: AGPL-3.0-only
// The program against a small HTTP server of the test: what it sends, what it says, how it exits.
#include "nodes/cli/command.hpp"

#include "actors/audit/chain.hpp"
#include "nodes/http/server.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <vector>

namespace marchproxy::cli {
namespace {

std::string chain_text(int records) {
  std::string out;
  audit::chain_head head;
  for (int i = 0; i < records; ++i) {
    audit::record next;
    next.ledger = "eu";
    next.actor = {audit::actor_kind::user, "1", "alice"};
    next.action = "mapping.update";
    next.after = R"({"priority":)" + std::to_string(i) + "}";
    const auto made = audit::append(head, next);
    EXPECT_TRUE(made);
    out += audit::to_line(*made) + "\n";
    head = audit::head_of(*made);
  }
  return out;
}

class command_test : public testing::Test {
protected:
  command_test() {
    http::server_options options;
    options.listen = {ip_address::v4(0x7F000001), 0};
    auto made = http::server::start(options, [this](const http::request& r) { return answer(r); });
    EXPECT_TRUE(made);
    server_ = *std::move(made);
    url = "http://" + to_string(server_->local());
  }

  int call(std::vector<std::string> words, const std::string& input = {}) {
    words.insert(words.end(), {"--url", url, "--api-key", "mpa_test"});
    return call_as_given(words, input);
  }
  int call_as_given(const std::vector<std::string>& words, const std::string& input = {}) {
    std::istringstream in(input);
    out.str("");
    err.str("");
    terminal at{in, out, err};
    return run(words, {}, at);
  }

  void stop() { server_.reset(); }

  std::string url;
  std::ostringstream out;
  std::ostringstream err;
  std::map<std::string, http::response> answers; ///< by `METHOD /path?query`
  std::vector<http::request> seen;

private:
  http::response answer(const http::request& r) {
    const std::lock_guard lock(mutex_);
    seen.push_back(r);
    const auto found =
      answers.find(r.method + " " + r.path + (r.query.empty() ? "" : "?" + r.query));
    if (found != answers.end())
      return found->second;
    return {
      404,
      {},
      R"({"success":false,"error":{"code":"not_found","message":"no such path","details":[]}})"};
  }

  std::mutex mutex_;
  std::unique_ptr<http::server> server_;
};

TEST_F(command_test, lists_every_page_as_one_table) {
  answers["GET /api/v1/clusters?limit=500"] = {
    200, {}, R"({"data":[{"id":1,"name":"eu"}],"next_cursor":"a b"})"};
  answers["GET /api/v1/clusters?limit=500&cursor=a%20b"] = {
    200,
    {},
    R"({"data":[{"id":2,"name":"us","max_proxies":3,"observe":true}],"next_cursor":null})"};
  EXPECT_EQ(call({"ctl", "clusters", "list"}), exit_ok) << err.str();
  EXPECT_EQ(out.str(),
            "ID  NAME  MAX_PROXIES  OBSERVE  DESCRIPTION\n1   eu    -            -        -\n"
            "2   us    3            true     -\n");
  EXPECT_EQ(seen.front().header("authorization"), "Bearer mpa_test");
}

TEST_F(command_test, sends_a_change_and_says_what_became_of_it) {
  answers["POST /api/v1/clusters/eu/mappings?wait=9"] = {
    201,
    {},
    R"({"data":{"id":9},"revision":{"number":7,"state":"in_force","reason":"","proxies":{"expected":2,"applied":2}}})"};
  EXPECT_EQ(call({"ctl", "mappings", "create", "--cluster", "eu", "--wait", "9", "--set",
                  "destinations=all", "-f", "-"},
                 R"({"sources":["web"]})"),
            exit_ok)
    << err.str();
  EXPECT_EQ(seen.front().body, R"({"destinations":"all","sources":["web"]})");
  EXPECT_EQ(seen.front().header("content-type"), "application/json");
  EXPECT_EQ(out.str(), "id: 9\n");
  EXPECT_EQ(err.str(), "revision 7 in_force (2 of 2 proxies)\n");
}

TEST_F(command_test, a_revision_that_was_given_up_is_a_failure) {
  answers["DELETE /api/v1/clusters/eu/mappings/9"] = {
    200,
    {},
    R"({"data":null,"revision":{"number":8,"state":"aborted","reason":"edge refused","proxies":{"expected":2,"applied":0}}})"};
  EXPECT_EQ(call({"ctl", "mappings", "delete", "9", "--cluster", "eu"}), exit_failed);
  EXPECT_EQ(err.str(), "revision 8 aborted (0 of 2 proxies): edge refused\n");
}

TEST_F(command_test, a_refusal_is_told_field_by_field) {
  answers["POST /api/v1/clusters"] = {
    400,
    {},
    R"({"success":false,"error":{"code":"invalid_argument","message":"1 field","details":[{"field":"name","message":"is required"}]}})"};
  EXPECT_EQ(call({"ctl", "clusters", "create"}), exit_failed);
  EXPECT_EQ(err.str(), "marchproxy: invalid_argument: 1 field\n  name: is required\n");
  EXPECT_EQ(call({"ctl", "clusters", "get", "mars"}), exit_failed);
  EXPECT_EQ(err.str(), "marchproxy: not_found: no such path\n");
}

TEST_F(command_test, wrong_usage_is_told_apart_from_failure) {
  EXPECT_EQ(call({}), exit_usage);
  EXPECT_EQ(call({"fly"}), exit_usage);
  EXPECT_EQ(call({"ctl", "services", "list"}), exit_usage);
  EXPECT_EQ(call({"explain", "--cluster", "eu"}), exit_usage);
  EXPECT_EQ(call({"audit", "shred"}), exit_usage);
  EXPECT_EQ(call_as_given({"audit", "verify"}), exit_usage);
  EXPECT_EQ(call_as_given({"--help"}), exit_ok);
  EXPECT_NE(out.str().find("api-keys"), std::string::npos);
  EXPECT_EQ(call_as_given({"--version"}), exit_ok);
  EXPECT_EQ(out.str().substr(0, 12), "marchproxy v");
  EXPECT_TRUE(seen.empty());
}

TEST_F(command_test, explain_sends_the_flow) {
  answers["POST /api/v1/clusters/eu/explain"] = {200, {}, R"({"data":{"verdict":"deny"}})"};
  EXPECT_EQ(call({"explain", "--cluster", "eu", "--source", "10.0.0.1", "--destination", "10.0.0.2",
                  "--port", "443", "--protocol", "tcp"}),
            exit_ok);
  EXPECT_EQ(seen.front().body,
            R"({"destination":"10.0.0.2","port":443,"protocol":"tcp","source":"10.0.0.1"})");
  EXPECT_EQ(out.str(), "verdict: deny\n");
}

TEST_F(command_test, tiers_shows_what_judges_packets_and_why_nothing_faster) {
  answers["GET /tiers"] = {
    200,
    {},
    R"({"chosen":"xdp","declined":[{"name":"dpdk","reason":"no hugepages"}],)"
    R"("interfaces":[{"name":"eth0","kind":"","hook":"xdp","mode":"native","not_higher":""}],)"
    R"("sriov":[{"interfaces":["eth1"],"functions":[{"index":3,"driver":"vfio-pci","port":"mp0"}]}],)"
    R"("counters":{"xdp":{"allowed":7,"malformed":0}}})"};
  EXPECT_EQ(call({"tiers"}), exit_ok);
  for (const auto* part :
       {"tier: xdp", "eth0", "native", "no hugepages", "allowed", "eth1/vf3", "mp0"})
    EXPECT_NE(out.str().find(part), std::string::npos) << part << "\n" << out.str();
  EXPECT_EQ(out.str().find("malformed"), std::string::npos) << "what never happened";
  EXPECT_EQ(call({"tiers", "--json"}), exit_ok);
  EXPECT_EQ(nlohmann::json::parse(out.str()).at("counters").at("xdp").at("allowed"), 7);
  EXPECT_EQ(call({"tiers", "eth0"}), exit_usage);
  for (const auto* other : {R"({"data":{}})", "[]", "no json",
                            R"({"chosen":1,"declined":2,"interfaces":3,"counters":4})"}) {
    answers["GET /tiers"].body = other;
    EXPECT_EQ(call({"tiers"}), exit_failed) << other;
    EXPECT_NE(err.str().find("no answer of a proxy's admin port"), std::string::npos);
  }
}

TEST_F(command_test, status_and_health_come_through) {
  answers["GET /api/v1/status"] = {200, {}, R"({"data":{"version":"v1"}})"};
  answers["GET /healthz"] = {503, {}, R"({"status":"failed"})"};
  EXPECT_EQ(call({"status", "--json"}), exit_ok);
  EXPECT_EQ(out.str(), "{\n  \"version\": \"v1\"\n}\n");
  EXPECT_EQ(call({"--healthcheck"}), exit_failed);
  answers["GET /healthz"].status = 200;
  EXPECT_EQ(call({"--healthcheck"}), exit_ok);
}

TEST_F(command_test, a_manager_that_is_not_there_is_a_failure_and_not_a_hang) {
  stop();
  EXPECT_EQ(call({"status", "--timeout", "5"}), exit_failed);
  EXPECT_NE(err.str().find("unavailable"), std::string::npos) << err.str();
}

TEST_F(command_test, a_whole_chain_verifies_offline) {
  EXPECT_EQ(call_as_given({"audit", "verify", "-"}, chain_text(5)), exit_ok);
  EXPECT_EQ(out.str().substr(0, 21), "ok: 5 records, head 5");
  EXPECT_TRUE(seen.empty());
}

TEST_F(command_test, events_of_the_stream_verify_as_their_records_do) {
  std::istringstream lines(chain_text(3));
  std::string events;
  for (std::string line; std::getline(lines, line);)
    events += R"({"specversion":"1.0","id":"x","data":)" + line + "}\n";
  EXPECT_EQ(call_as_given({"audit", "verify", "-", "--json"}, events), exit_ok) << out.str();
}

TEST_F(command_test, a_chain_with_a_changed_or_missing_record_is_broken) {
  auto changed = chain_text(5);
  changed.replace(changed.find(R"("priority":2)"), 12, R"("priority":9)");
  EXPECT_EQ(call_as_given({"audit", "verify", "-"}, changed), exit_failed);
  EXPECT_EQ(out.str().substr(0, 12), "broken at 3:");

  auto shorter = chain_text(5);
  const auto second = shorter.find('\n') + 1;
  shorter.erase(second, shorter.find('\n', second) + 1 - second);
  EXPECT_EQ(call_as_given({"audit", "verify", "-", "--json"}, shorter), exit_failed);
  EXPECT_NE(out.str().find(R"("ok":false)"), std::string::npos);
}

TEST_F(command_test, a_file_verifies_and_a_missing_one_fails) {
  const std::string name = testing::TempDir() + "audit-" + std::to_string(::getpid()) + ".jsonl";
  std::ofstream(name) << chain_text(2);
  EXPECT_EQ(call_as_given({"audit", "verify", name}), exit_ok);
  std::remove(name.c_str());
  EXPECT_EQ(call_as_given({"audit", "verify", name}), exit_failed);
}

TEST_F(command_test, an_export_is_followed_to_its_end) {
  const auto text = chain_text(4);
  std::size_t half = text.find('\n') + 1;
  half = text.find('\n', half) + 1;
  answers["GET /api/v1/audit/export?after=0&ledger=eu"] = {
    200, {{"X-Next-After", "2"}}, text.substr(0, half)};
  answers["GET /api/v1/audit/export?after=2&ledger=eu"] = {200, {}, text.substr(half)};
  EXPECT_EQ(call({"audit", "export", "--ledger", "eu"}), exit_ok) << err.str();
  EXPECT_EQ(out.str(), text);
  EXPECT_EQ(call({"audit", "verify", "--ledger", "eu"}), exit_ok) << err.str();
  EXPECT_EQ(out.str().substr(0, 21), "ok: 4 records, head 4");
}

} // namespace
} // namespace marchproxy::cli
