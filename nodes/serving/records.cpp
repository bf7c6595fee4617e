// SPDX-License-Identifier: AGPL-3.0-only
#include "nodes/serving/records.hpp"

#include <spdlog/spdlog.h>

namespace marchproxy::serving {

record_sinks::record_sinks(const node_settings& options)
  : told_(options.verdict_stream), proxy_(options.name) {
  if (told_ != told_verdicts::none)
    verdicts_ = std::make_shared<proxy::verdict_feed>(
      proxy::verdict_feed::limits{.per_second = options.verdict_rate});
}

result<std::unique_ptr<record_sinks>> record_sinks::open(const node_settings& options) {
  std::unique_ptr<record_sinks> out{new record_sinks{options}};
  if (options.decision_log.empty())
    return out;
  auto opened = decision_log::open(options.decision_log);
  if (!opened)
    return tl::unexpected(opened.error());
  out->log_ = std::move(*opened);
  return out;
}

void record_sinks::take(const relay::decision_record& r) {
  if (spdlog::should_log(spdlog::level::debug))
    spdlog::debug("flow {} {} {} {} mapping {} revision {} {}", relay::request_text(r.request),
                  to_string(r.via), net::to_string(r.source), r.asked, r.mapping.value,
                  r.revision.value, to_string(r.why));
  auto wanted = verdicts_ != nullptr && (told_ == told_verdicts::all || !r.allowed || r.observed)
                && verdicts_->admit(proxy::verdict_feed::clock::now());
  if (log_ == nullptr && !wanted)
    return;
  auto engine = engine_.load();
  auto service = services_.at(engine ? engine->current() : nullptr, r.source.address);
  auto event = to_verdict(r, proxy_, service);
  if (log_)
    log_->write(event);
  if (wanted)
    verdicts_->push(std::move(event));
}

} // namespace marchproxy::serving
