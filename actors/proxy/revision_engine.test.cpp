// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/revision_engine.hpp"

#include "actors/crypto/digest.hpp"
#include "actors/crypto/ed25519.hpp"
#include "actors/proxy/node.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace marchproxy::proxy {
namespace {

/// A tier that remembers what it was told.
class recording_tier : public tier {
public:
  std::shared_ptr<const policy::program> prepared;
  std::shared_ptr<const policy::program> active;
  bool refuse_prepare = false;
  bool refuse_commit = false;

  [[nodiscard]] std::string_view name() const noexcept override { return "recording"; }
  [[nodiscard]] result<void>
  prepare(const std::shared_ptr<const policy::program>& program) override {
    if (refuse_prepare)
      return fail(errc::too_large, "map full");
    prepared = program;
    return {};
  }
  [[nodiscard]] result<void> commit() override {
    if (refuse_commit)
      return fail(errc::unavailable, "no permission");
    active = prepared;
    return {};
  }
  void abort() noexcept override { prepared.reset(); }
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const override { return {}; }
};

class revision_engine_test : public ::testing::Test {
protected:
  revision_engine_test() {
    auto pattern = (std::filesystem::temp_directory_path() / "mp-engine-XXXXXX").string();
    directory = ::mkdtemp(pattern.data());
    authority.cluster = "dc1";
    authority.public_key = key.public_key();
  }
  ~revision_engine_test() override { std::filesystem::remove_all(directory); }

  revision_engine engine() { return {*revision_file::open(directory), {&first, &second}}; }

  stored_revision make(std::uint64_t number, const std::string& cluster = "dc1") {
    auto rules = std::make_shared<model::ruleset>();
    rules->cluster = cluster_id{1};
    rules->cluster_name = cluster;
    rules->revision = marchproxy::revision{number};
    stored_revision out;
    out.bytes = model::encode(*rules);
    out.what = {rules->revision,
                crypto::sha256_hex(out.bytes),
                (*policy::program::compile(rules))->hash_hex(),
                out.bytes.size(),
                1,
                ""};
    sign(out);
    return out;
  }
  void sign(stored_revision& r) {
    r.what.signature = crypto::to_hex(crypto::view(key.sign(rollout::signed_text("dc1", r.what))));
  }

  crypto::ed25519_key key = crypto::ed25519_key::generate();
  policy_authority authority;
  std::filesystem::path directory;
  recording_tier first;
  recording_tier second;
};

TEST_F(revision_engine_test, stages_then_flips_every_tier_and_restores_after_a_restart) {
  auto e = engine();
  ASSERT_TRUE(e.stage(authority, make(3)));
  EXPECT_EQ(first.active, nullptr);
  ASSERT_TRUE(e.flip(marchproxy::revision{3}));
  EXPECT_EQ(first.active->revision().value, 3u);
  EXPECT_EQ(second.active, first.active);
  ASSERT_TRUE(write_authority(e.file(), authority));

  first.active.reset();
  auto again = engine();
  auto known = read_authority(again.file());
  ASSERT_TRUE(known);
  EXPECT_EQ(again.restore(*known)->value, 3u);
  EXPECT_EQ(first.active->revision().value, 3u);
}

TEST_F(revision_engine_test, a_staged_revision_that_was_not_flipped_is_not_restored) {
  ASSERT_TRUE(engine().stage(authority, make(3)));
  EXPECT_EQ(engine().restore(authority)->value, 0u);
}

TEST_F(revision_engine_test, a_forged_signature_is_refused) {
  auto r = make(3);
  r.what.signature[0] = r.what.signature[0] == 'a' ? 'b' : 'a';
  EXPECT_EQ(engine().stage(authority, r).error().code, errc::corrupt);
}

TEST_F(revision_engine_test, changed_bytes_are_refused) {
  auto r = make(3);
  r.bytes.back() = ' ';
  EXPECT_EQ(engine().stage(authority, r).error().code, errc::corrupt);
}

TEST_F(revision_engine_test, another_clusters_ruleset_is_refused) {
  auto r = make(3, "dc2");
  EXPECT_EQ(engine().stage(authority, r).error().code, errc::refused);
}

TEST_F(revision_engine_test, another_program_hash_is_refused) {
  auto r = make(3);
  r.what.program_hash = std::string(64, '0');
  sign(r);
  EXPECT_EQ(engine().stage(authority, r).error().code, errc::refused);
}

TEST_F(revision_engine_test, a_tier_that_cannot_prepare_leaves_the_old_revision_and_names_itself) {
  auto e = engine();
  ASSERT_TRUE(e.stage(authority, make(3)));
  ASSERT_TRUE(e.flip(marchproxy::revision{3}));
  second.refuse_prepare = true;
  auto out = e.stage(authority, make(4));
  EXPECT_EQ(out.error().message, "recording: map full");
  EXPECT_FALSE(e.flip(marchproxy::revision{4}));
  EXPECT_EQ(first.active->revision().value, 3u);
}

TEST_F(revision_engine_test, a_tier_that_cannot_commit_takes_the_others_back) {
  auto e = engine();
  ASSERT_TRUE(e.stage(authority, make(3)));
  ASSERT_TRUE(e.flip(marchproxy::revision{3}));
  ASSERT_TRUE(e.stage(authority, make(4)));
  second.refuse_commit = true;
  EXPECT_FALSE(e.flip(marchproxy::revision{4}));
  EXPECT_EQ(first.active->revision().value, 3u);
  EXPECT_EQ(e.current()->revision().value, 3u);
}

TEST_F(revision_engine_test, a_damaged_file_is_reported_not_applied) {
  auto e = engine();
  ASSERT_TRUE(e.stage(authority, make(3)));
  ASSERT_TRUE(e.flip(marchproxy::revision{3}));
  {
    std::fstream file{directory / "active", std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(-3, std::ios::end);
    file.put('#');
  }
  EXPECT_EQ(engine().restore(authority).error().code, errc::corrupt);
}

} // namespace
} // namespace marchproxy::proxy
