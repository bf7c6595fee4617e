// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/decision_log.hpp"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/spdlog.h>

namespace marchproxy::serving {

result<std::unique_ptr<decision_log>> decision_log::open(const std::filesystem::path& path) {
  std::unique_ptr<decision_log> out{new decision_log};
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

void decision_log::write(const bus_schemas::flow_verdict& v) {
  file_->info(bus_schemas::encode(v));
}

} // namespace marchproxy::serving
