// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/egress/decision_log.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/spdlog.h>

namespace marchproxy::egress {

namespace {

using json = nlohmann::ordered_json;

template <class Id>
json number_or_null(Id id) {
  return id ? json(id.value) : json(nullptr);
}

} // namespace

std::string to_json_line(const relay::decision_record& r, std::string_view proxy) {
  auto milliseconds = std::chrono::duration<double, std::milli>(r.ended - r.started).count();
  json out = {{"time", format_time(r.ended)},
              {"proxy", proxy},
              {"tier", relay::tier_name},
              {"request", relay::request_text(r.request)},
              {"via", to_string(r.via)},
              {"protocol", model::to_string(static_cast<model::protocol_set>(r.protocol))},
              {"source", to_string(r.source.address)},
              {"source_port", r.source.port},
              {"identity", number_or_null(r.identity)},
              {"credential", r.credential.empty() ? json(nullptr) : json(r.credential)},
              {"asked", r.asked},
              {"name", r.name.empty() ? json(nullptr) : json(r.name)},
              {"sni", r.sni.empty() ? json(nullptr) : json(r.sni)},
              {"address", r.address ? json(to_string(*r.address)) : json(nullptr)},
              {"port", r.port},
              {"verdict", r.allowed ? "allow" : "deny"},
              {"reason", to_string(r.why)},
              {"mapping", number_or_null(r.mapping)},
              {"revision", r.revision.value},
              {"bytes_up", r.bytes_up},
              {"bytes_down", r.bytes_down},
              {"started", format_time(r.started)},
              {"milliseconds", milliseconds}};
  // Names are checked on their way in; were one not UTF-8, the line would still be JSON.
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

result<std::unique_ptr<decision_log>> decision_log::open(const std::filesystem::path& path,
                                                         std::string proxy) {
  std::unique_ptr<decision_log> out{new decision_log{std::move(proxy)}};
  try {
    auto sink =
      std::make_shared<spdlog::sinks::rotating_file_sink_st>(path.string(), max_bytes, kept);
    out->file_ = std::make_shared<spdlog::logger>("decisions", std::move(sink));
  } catch (const spdlog::spdlog_ex& problem) {
    return fail(errc::unavailable, problem.what());
  }
  out->file_->set_pattern("%v");
  out->file_->flush_on(spdlog::level::info);
  out->file_->set_error_handler([log = out.get()](const std::string& what) {
    if (log->errors_.fetch_add(1, std::memory_order_relaxed) == 0)
      spdlog::error("decision log: {}; further failures are counted only", what);
  });
  return out;
}

void decision_log::write(const relay::decision_record& r) {
  file_->info(to_json_line(r, proxy_));
}

} // namespace marchproxy::egress
