// SPDX-License-Identifier: AGPL-3.0-only
#include "bpf/abi/lookup.hpp"
#include "bpf/loader/probe_frame.hpp"
#include "bpf/loader/tier_state.hpp"

#include <bpf/bpf.h>

#include <linux/pkt_cls.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace marchproxy::tier_ebpf {

namespace {

constexpr std::size_t longest_probe = 2048;

struct test_run {
  std::array<std::uint32_t, MP_JUDGED_WORDS> words{}; ///< of a program that only judges
  std::uint32_t returned = 0;
  std::chrono::nanoseconds each{0};
};

/// Bytes that a program may add to a frame.
constexpr std::size_t most_added = 128;

/// What a program needs besides the frame, and where it leaves its words.
struct run_kind {
  bool xdp = false;
  bool judge_only = false;
};

/// One system call.
result<test_run> run_program(int fd,
                             run_kind kind,
                             std::span<const std::byte> frame,
                             std::uint32_t repeat,
                             std::vector<std::byte>* left = nullptr) {
  test_run out;
  __sk_buff context{};
  std::array<std::byte, longest_probe> written{};
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<std::uint32_t>(frame.size());
  if (!kind.xdp) {
    options.ctx_in = options.ctx_out = &context;
    options.ctx_size_in = options.ctx_size_out = sizeof context;
  } else if (kind.judge_only) {
    MP_INVARIANT(frame.size() <= written.size());
    options.data_out = written.data();
    options.data_size_out = static_cast<std::uint32_t>(written.size());
  }
  if (left != nullptr) {
    left->resize(frame.size() + most_added);
    options.data_out = left->data();
    options.data_size_out = static_cast<std::uint32_t>(left->size());
  }
  options.repeat = static_cast<int>(repeat);
  if (auto rc = bpf_prog_test_run_opts(fd, &options); rc != 0)
    return fail(rc == -EINVAL ? errc::invalid_argument : errc::unavailable,
                std::string{"test run: "} + std::strerror(-rc));
  std::memcpy(out.words.data(), kind.xdp ? static_cast<const void*>(written.data()) : context.cb,
              sizeof out.words);
  if (left != nullptr)
    left->resize(options.data_size_out);
  out.returned = options.retval;
  out.each = std::chrono::nanoseconds{options.duration};
  return out;
}

result<test_run> run_judge(int fd, bool xdp, const policy::flow& flow, std::uint32_t repeat) {
  auto frame = first_frame(flow);
  if (!frame)
    return tl::unexpected(frame.error());
  auto run = run_program(fd, {xdp, true}, frame->view(), repeat);
  if (!run)
    return run;
  if (run->returned == MP_TOTAL_no_image)
    return fail(errc::unavailable, "no revision is in force");
  if (run->returned > MP_LAST_OUTCOME || run->returned == MP_TOTAL_malformed)
    return fail(errc::internal, "the packet program could not read its own probe");
  return run;
}

policy::verdict verdict_of(const test_run& run) {
  const auto& words = run.words;
  return policy::verdict_of_rule(
    words[MP_JUDGED_FLAGS], mapping_id{words[MP_JUDGED_MAPPING]},
    revision{std::uint64_t{words[MP_JUDGED_REVISION_HIGH]} << 32 | words[MP_JUDGED_REVISION_LOW]});
}

/// The same lookup as the kernel's, on the kernel's pages.
void trace_lookup(const std::byte* pages, const policy::flow& flow, lookup_trace& out) {
  const auto& header = *reinterpret_cast<const mp_image_header*>(pages);
  if (flow.source.family == ip_family::v4) {
    out.source_class = mp_lookup4(pages, header.source4, flow.source.v4_host_order());
    out.fan = mp_lookup4(pages, header.target4, flow.destination->v4_host_order());
  } else {
    mp_key6 key{};
    std::memcpy(&key, flow.source.bytes.data(), sizeof key);
    out.source_class =
      mp_lookup6(pages, mp_start6(pages, header.source6, &header.source_jump, &key), &key);
    std::memcpy(&key, flow.destination->bytes.data(), sizeof key);
    out.fan = mp_lookup6(pages, mp_start6(pages, header.target6, &header.target_jump, &key), &key);
  }
  mp_match match{};
  match.source = out.source_class;
  match.protocol = static_cast<mp_u32>(flow.protocol);
  match.port = flow.port;
  match.best = MP_NO_RANK;
  out.group = mp_group(pages, header.groups, match.protocol, match.port);
  if (mp_match_fan(pages, &match, out.fan, out.group) != 0)
    while (mp_match_list(pages, &match) != 0) {
    }
  if (match.best == MP_NO_RANK)
    return;
  out.rank = match.best;
  out.page = match.rule / MP_PAGE_UNITS;
  out.offset = match.rule % MP_PAGE_UNITS * 16;
  constexpr std::string_view digits = "0123456789abcdef";
  for (std::size_t i = 0; i < sizeof(mp_rule); ++i) {
    auto byte = static_cast<std::size_t>(pages[std::size_t{match.rule} * 16 + i]);
    out.entry += {digits[byte >> 4], digits[byte & 15]};
  }
}

} // namespace

result<policy::verdict> tier::judge(const policy::flow& flow) const {
  auto run = run_judge(state_->fds.judge, false, flow, 1);
  if (!run)
    return tl::unexpected(run.error());
  return verdict_of(*run);
}

result<std::uint32_t> tier::limits_word(const policy::flow& flow) const {
  auto run = run_judge(state_->fds.judge, false, flow, 1);
  if (!run)
    return tl::unexpected(run.error());
  return run->words[MP_JUDGED_LIMITS];
}

result<policy::verdict> tier::judge_xdp(const policy::flow& flow) const {
  MP_INVARIANT(state_->xdp);
  auto run = run_judge(state_->xdp->judge_fd(), true, flow, 1);
  if (!run)
    return tl::unexpected(run.error());
  return verdict_of(*run);
}

result<tier::frame_verdict> tier::judge_frame(hook at, std::span<const std::byte> frame) const {
  MP_INVARIANT(at == hook::tc || state_->xdp);
  if (frame.size() > longest_probe)
    return fail(errc::too_large, "a frame of " + std::to_string(frame.size()) + " bytes");
  auto fd = at == hook::xdp ? state_->xdp->judge_fd() : state_->fds.judge;
  auto run = run_program(fd, {at == hook::xdp, true}, frame, 1);
  if (!run)
    return tl::unexpected(run.error());
  if (run->returned > MP_LAST_OUTCOME)
    return fail(errc::internal, "the packet program answers with no outcome");
  return frame_verdict{text_of(static_cast<mp_total>(run->returned)).name, verdict_of(*run)};
}

result<std::chrono::nanoseconds> tier::judge_cost(const policy::flow& flow,
                                                  std::uint32_t repeat) const {
  auto run = run_judge(state_->fds.judge, false, flow, repeat);
  if (!run)
    return tl::unexpected(run.error());
  return run->each;
}

result<lookup_trace> tier::explain(const policy::flow& flow) const {
  auto verdict = judge(flow);
  if (!verdict)
    return tl::unexpected(verdict.error());
  auto by = state_->of(verdict->revision);
  if (!by.program)
    return fail(errc::unavailable, "the revision changed meanwhile");
  lookup_trace out;
  out.verdict = *verdict;
  out.image_map = by.image->id();
  trace_lookup(by.image->pages().data(), flow, out);
  return out;
}

result<run_outcome> tier::run(std::span<const std::byte> frame, std::uint32_t repeat) const {
  std::vector<std::byte> left;
  auto out = run_program(state_->fds.ingress, {}, frame, repeat, repeat == 1 ? &left : nullptr);
  if (!out)
    return tl::unexpected(out.error());
  return run_outcome{out->returned != TC_ACT_SHOT, out->each, std::move(left)};
}

result<run_outcome> tier::run_xdp(std::span<const std::byte> frame, std::uint32_t repeat) const {
  MP_INVARIANT(state_->xdp);
  auto out = run_program(state_->xdp->program_fd(), {.xdp = true}, frame, repeat);
  if (!out)
    return tl::unexpected(out.error());
  return run_outcome{out->returned == XDP_PASS || out->returned == XDP_REDIRECT, out->each, {}};
}

} // namespace marchproxy::tier_ebpf
