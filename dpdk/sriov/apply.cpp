// SPDX-License-Identifier: AGPL-3.0-only
#include "dpdk/sriov/apply.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace marchproxy::sriov {

namespace {

using steps = std::vector<step>;

struct perform {
  const machine& at;

  result<void> operator()(const sysfs_write& w) const { return at.files.write(w.file, w.text); }
  result<void> operator()(const vf_change& c) const {
    auto done = at.netlink.ask(set_vf(c.index, c.vf, c.to));
    return done ? result<void>{} : tl::unexpected(done.error());
  }
};

/// A function that no driver has needs not be taken from one.
bool is_idle_unbind(const action& what, const error& e) {
  const auto* write = std::get_if<sysfs_write>(&what);
  return write != nullptr && e.code == errc::not_found && write->file.ends_with("/unbind");
}

/// @return what could not be undone, empty when all was
std::string undo(const machine& at, const steps& done) {
  std::string left;
  std::for_each(done.rbegin(), done.rend(), [&](const step& s) {
    for (const auto& a : s.back)
      if (auto undone = std::visit(perform{at}, a); !undone && !is_idle_unbind(a, undone.error()))
        left +=
          fmt::format("{}{}: {}", left.empty() ? "" : "; ", to_string(a), undone.error().message);
  });
  return left;
}

/// The failure, with what became of the steps before it.
tl::unexpected<error> give_up(const machine& at, const steps& done, error why) {
  if (done.empty())
    return tl::unexpected(std::move(why));
  const auto left = undo(at, done);
  why.message += left.empty() ? "; what was done before is undone"
                              : "; what was done before is undone but for this: " + left;
  return tl::unexpected(std::move(why));
}

/// Does @p planned, and adds what was done to @p done.
result<void> follow(const machine& at,
                    const steps& planned,
                    const std::function<void(const step&)>& before_step,
                    steps& done) {
  for (const auto& s : planned) {
    if (before_step)
      before_step(s);
    if (auto ok = std::visit(perform{at}, s.does); !ok)
      return fail(ok.error().code, s.what + ", " + to_string(s.does) + ": " + ok.error().message);
    done.push_back(s);
  }
  return {};
}

/// What is still to do after everything was done without an error.
result<void> check(const machine& at, const wanted_state& wanted) {
  auto now = observe(at);
  if (!now)
    return tl::unexpected(now.error());
  auto rest = plan(now->has, wanted, now->use);
  if (!rest)
    return tl::unexpected(rest.error());
  auto missing = std::find_if(rest->begin(), rest->end(), [](const step& s) { return !s.blind; });
  if (missing != rest->end())
    return fail(errc::refused, missing->what + ": the kernel reported no error, and it is not so");
  return {};
}

/// The functions of @p wanted, once there are as many.
result<steps> plan_rest(const machine& at, const wanted_state& wanted) {
  auto now = observe(at);
  if (!now)
    return tl::unexpected(now.error());
  return plan_functions(now->has, wanted, now->use);
}

} // namespace

result<observed> observe(const machine& at) {
  auto has = read_inventory(at.sys);
  if (!has)
    return tl::unexpected(has.error());
  if (auto done = read_settings(*has, at.netlink); !done)
    return tl::unexpected(done.error());
  auto use = read_use(*has, at.management, at.netlink, at.proc);
  if (!use)
    return tl::unexpected(use.error());
  return observed{std::move(*has), std::move(*use)};
}

result<steps> apply(const machine& at,
                    const wanted_state& wanted,
                    const std::function<void(const step&)>& before_step) {
  auto before = observe(at);
  if (!before)
    return tl::unexpected(before.error());
  // All of it first: what can be known to fail fails before anything is done.
  if (auto all = plan(before->has, wanted, before->use); !all || all->empty())
    return all;
  auto counted = plan_count(before->has, wanted, before->use);
  if (!counted)
    return counted;
  steps done;
  if (auto ok = follow(at, *counted, before_step, done); !ok)
    return give_up(at, done, ok.error());
  auto rest = plan_rest(at, wanted);
  if (!rest)
    return give_up(at, done, rest.error());
  if (auto ok = follow(at, *rest, before_step, done); !ok)
    return give_up(at, done, ok.error());
  if (auto ok = check(at, wanted); !ok)
    return give_up(at, done, ok.error());
  return done;
}

} // namespace marchproxy::sriov
