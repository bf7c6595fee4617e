// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/limiting/meter.hpp"

namespace marchproxy::limiting {

std::string_view to_string(subject::kind k) noexcept {
  return k == subject::kind::mapping ? "mapping" : "service";
}

std::string_view to_string(limit_kind k) noexcept {
  switch (k) {
  case limit_kind::connections:
    return "connections";
  case limit_kind::max_connections:
    return "max_connections";
  case limit_kind::requests:
    return "requests";
  case limit_kind::packets:
    return "packets";
  case limit_kind::bytes:
    return "bytes";
  }
  return "connections";
}

meter::meter(subject of, const model::limits& limits, clock::time_point now)
  : of_(of), limits_(limits), terms_(limits), beginning_(now) {}

std::uint64_t meter::crowded() const noexcept {
  const auto* table = sources_.load(std::memory_order_acquire);
  return table != nullptr ? table->crowded() : 0;
}

bucket_set& meter::buckets_of(const ip_address& source, clock::time_point now) {
  if (limits_.per == model::limit_scope::together)
    return together_;
  std::call_once(first_source_, [this] {
    table_ = std::make_unique<source_table>(terms_);
    sources_.store(table_.get(), std::memory_order_release);
  });
  return table_->hold(source_key(source), since(now));
}

meter::hold::hold(std::shared_ptr<meter> of, const ip_address& source, clock::time_point now)
  : of_(std::move(of)), set_(&of_->buckets_of(source, now)) {}

meter::hold::~hold() {
  if (set_ != nullptr && of_->table_)
    of_->table_->release(*set_);
}

} // namespace marchproxy::limiting
