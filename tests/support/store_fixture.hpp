// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "actors/audit/chain.hpp"
#include "actors/storage/store.hpp"
#include "tests/support/database_fixture.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace marchproxy::test {

/// A store on each database, with a cluster in it.
class on_each_store : public on_each_database {
protected:
  void SetUp() override {
    on_each_database::SetUp();
    reopen();
    const auto made = store_->create_cluster(by(), named("eu-1"));
    ASSERT_TRUE(made) << to_string(made.error());
    cluster_ = cluster_id{made->id};
  }
  void TearDown() override {
    store_.reset();
    on_each_database::TearDown();
  }

  /// As after a restart; also a second manager's view, when the old one is kept.
  void reopen(storage::pool::settings limits = {}) {
    auto opened = storage::store::open(url(), key_, limits);
    ASSERT_TRUE(opened) << to_string(opened.error());
    store_ = std::move(*opened);
  }

  [[nodiscard]] storage::change_context by(std::int64_t microseconds = 0) const {
    return {.actor_kind = "user",
            .actor_id = "7",
            .actor_name = "alice",
            .source = "192.0.2.1",
            .at = at(microseconds)};
  }
  [[nodiscard]] static model::cluster named(std::string_view name) {
    model::cluster out;
    out.name = name;
    return out;
  }
  /// A base64 token's, or with @p algorithm a JWT's.
  [[nodiscard]] static model::credential
  credential(service_id of, std::string algorithm, std::string verifier) {
    model::credential out;
    out.id = "k1";
    out.service = of;
    out.kind = algorithm.empty() ? model::auth_type::base64 : model::auth_type::jwt;
    out.algorithm = std::move(algorithm);
    out.verifier = std::move(verifier);
    return out;
  }
  [[nodiscard]] model::service service(std::string name,
                                       std::string_view address = "10.0.0.1") const {
    model::service out;
    out.cluster = cluster_;
    out.name = std::move(name);
    out.address = *model::parse_address(address, "address");
    return out;
  }
  [[nodiscard]] model::mapping mapping(service_id from, service_id to) const {
    model::mapping out;
    out.cluster = cluster_;
    out.sources = {from};
    out.destinations = {to};
    return out;
  }
  service_id add_service(std::string name, std::string_view address = "10.0.0.1") {
    const auto made = store_->create_service(by(), service(std::move(name), address));
    EXPECT_TRUE(made) << (made ? "" : to_string(made.error()));
    return made ? service_id{made->id} : service_id{};
  }
  /// The chain of a ledger as it is stored, against its head.
  [[nodiscard]] audit::verifier::report verify(std::string_view ledger) {
    audit::verifier chain({.ledger = std::string(ledger), .head = *store_->audit_head_of(ledger)});
    for (std::uint64_t first = 1;;) {
      const auto part = store_->audit(ledger, first, 1000);
      EXPECT_TRUE(part);
      if (!part || part->empty())
        break;
      for (const auto& one : *part)
        chain.add_line(one.record);
      first = part->back().sequence + 1;
    }
    return chain.finish();
  }

  crypto::sealing_key key_ = crypto::sealing_key::generate();
  std::unique_ptr<storage::store> store_;
  cluster_id cluster_;
};

} // namespace marchproxy::test
