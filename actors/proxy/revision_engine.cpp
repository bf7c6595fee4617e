// SPDX-License-Identifier: AGPL-3.0-only
#include "actors/proxy/revision_engine.hpp"

namespace marchproxy::proxy {

revision_engine::revision_engine(revision_file file, std::vector<tier*> tiers)
  : file_(std::move(file)), tiers_(std::move(tiers)) {}

result<void> revision_engine::prepare(const std::shared_ptr<const policy::program>& program) {
  for (std::size_t i = 0; i < tiers_.size(); ++i)
    if (auto ok = tiers_[i]->prepare(program); !ok) {
      for (std::size_t j = 0; j <= i; ++j)
        tiers_[j]->abort();
      return fail(ok.error().code, std::string{tiers_[i]->name()} + ": " + ok.error().message);
    }
  return {};
}

result<void> revision_engine::commit(const std::shared_ptr<const policy::program>& program) {
  auto before = current();
  for (std::size_t i = 0; i < tiers_.size(); ++i) {
    auto ok = tiers_[i]->commit();
    if (ok)
      continue;
    auto why = std::string{tiers_[i]->name()} + ": " + ok.error().message;
    for (std::size_t j = i; j < tiers_.size(); ++j)
      tiers_[j]->abort();
    // Back to the old program in those tiers that have switched already: old revision everywhere,
    // or none (ACC-7).
    for (std::size_t j = 0; before && j < i; ++j) {
      auto back = tiers_[j]->prepare(before);
      if (back)
        back = tiers_[j]->commit();
      if (!back)
        why +=
          "; " + std::string{tiers_[j]->name()} + " could not go back: " + back.error().message;
    }
    return fail(ok.error().code, why);
  }
  std::lock_guard hold{lock_};
  current_ = program;
  return {};
}

result<void> revision_engine::stage(const policy_authority& authority,
                                    const stored_revision& revision) {
  auto compiled = verify(authority, revision);
  if (!compiled)
    return tl::unexpected(compiled.error());
  if (auto ok = prepare(*compiled); !ok)
    return ok;
  if (auto ok = file_.write_staged(revision); !ok) {
    for (auto* one : tiers_)
      one->abort();
    return ok;
  }
  staged_ = std::move(*compiled);
  return {};
}

result<void> revision_engine::flip(marchproxy::revision revision) {
  if (!staged_ || staged_->revision() != revision)
    return fail(errc::refused, "revision " + std::to_string(revision.value) + " is not staged");
  auto program = std::exchange(staged_, nullptr);
  if (auto ok = commit(program); !ok)
    return ok;
  return file_.promote();
}

void revision_engine::drop(marchproxy::revision revision) {
  if (!staged_ || staged_->revision() != revision)
    return;
  staged_.reset();
  for (auto* one : tiers_)
    one->abort();
  file_.drop_staged();
}

result<marchproxy::revision> revision_engine::restore(const policy_authority& authority) {
  auto stored = file_.read_active();
  if (!stored)
    return tl::unexpected(stored.error());
  if (!*stored)
    return marchproxy::revision{};
  auto compiled = verify(authority, **stored);
  if (!compiled)
    return tl::unexpected(compiled.error());
  if (auto ok = prepare(*compiled); !ok)
    return tl::unexpected(ok.error());
  if (auto ok = commit(*compiled); !ok)
    return tl::unexpected(ok.error());
  return (*compiled)->revision();
}

std::shared_ptr<const policy::program> revision_engine::current() const {
  std::lock_guard hold{lock_};
  return current_;
}

} // namespace marchproxy::proxy
