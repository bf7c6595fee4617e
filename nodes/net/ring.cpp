// SPDX-License-Identifier: AGPL-3.0-only
// hot path
#include "nodes/net/ring.hpp"

#include "nodes/net/ring_socket.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

namespace marchproxy::net {

namespace {

/// Clients are aligned to as many bytes as there are numbers.
constexpr std::uint64_t which_mask = 7;

tl::unexpected<error> kernel_says(const char* what, int code) {
  return fail(errc::unsupported, std::string{"io_uring: "} + what + ": " + std::strerror(code));
}

} // namespace

result<std::unique_ptr<ring>> ring::create() {
  std::unique_ptr<ring> out{new ring};
  if (auto opened = out->open(); !opened)
    return tl::unexpected(opened.error());
  return out;
}

result<void> ring::probe() {
  result<void> out;
  std::thread{[&] {
    if (auto made = create(); !made)
      out = tl::unexpected(made.error());
  }}.join();
  return out;
}

result<void> ring::open() {
  io_uring_params wanted{};
  // Completions are made when this thread asks for them, not by interrupting it.
  wanted.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL
                 | IORING_SETUP_CQSIZE;
  wanted.cq_entries = 8 * entries;
  if (auto rc = io_uring_queue_init_params(entries, &ring_, &wanted); rc != 0)
    return kernel_says("setup", -rc);
  open_ = true;

  auto* memory = ::mmap(nullptr, buffer_count * sizeof(io_uring_buf), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return kernel_says("memory for buffers", errno);
  buffers_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_reg group{};
  group.ring_addr = reinterpret_cast<std::uint64_t>(memory);
  group.ring_entries = buffer_count;
  group.bgid = buffer_group;
  if (auto rc = io_uring_register_buf_ring(&ring_, &group, 0); rc != 0)
    return kernel_says("shared buffers", -rc);
  io_uring_buf_ring_init(buffers_);
  bytes_.reset(new char[buffer_count * buffer_size]); // touched as it is used
  for (unsigned id = 0; id < buffer_count; ++id)
    give_back(static_cast<std::uint16_t>(id));
  return {};
}

ring::~ring() {
  if (open_)
    io_uring_queue_exit(&ring_);
  while (orphans_.linked())
    delete static_cast<ring_socket*>(orphans_.next());
  if (buffers_ != nullptr)
    ::munmap(buffers_, buffer_count * sizeof(io_uring_buf));
}

bool ring::wait(std::chrono::milliseconds limit) {
  ++batch_;
  if (limit.count() == 0) {
    io_uring_submit_and_get_events(&ring_);
  } else if (limit.count() < 0) {
    io_uring_submit_and_wait(&ring_, 1);
  } else {
    __kernel_timespec time{limit.count() / 1000, limit.count() % 1000 * 1'000'000};
    io_uring_cqe* first = nullptr;
    io_uring_submit_and_wait_timeout(&ring_, &first, 1, &time, nullptr);
  }
  return io_uring_cq_ready(&ring_) > 0;
}

void ring::turn(std::chrono::milliseconds limit) {
  const auto half_open = half_open_.linked();
  const auto shorter = half_open && (limit.count() < 0 || limit > half_open_pause);
  const auto news = wait(shorter ? half_open_pause : limit);
  const auto calm = !news && limit.count() != 0;
  if (half_open && (++half_open_since_ >= half_open_turns || calm))
    watch_half_open();
  if (shorter && calm)
    wait(limit);
  io_uring_cqe* each = nullptr;
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_for_each_cqe(&ring_, head, each) {
    ++seen;
    auto* who = reinterpret_cast<ring_client*>(each->user_data & ~which_mask);
    if (who != nullptr)
      who->on_completed(static_cast<unsigned>(each->user_data & which_mask), each->res,
                        each->flags);
  }
  io_uring_cq_advance(&ring_, seen);
}

void ring::watch_half_open() noexcept {
  half_open_since_ = 0;
  while (half_open_.linked()) {
    auto* s = static_cast<ring_socket*>(half_open_.next());
    s->unlink();
    s->watch_for_reset();
  }
}

void ring::dispatch() {
  // News of sockets that are told now belong to the next turn.
  list_node present;
  while (ready_.linked()) {
    auto* node = ready_.next();
    node->unlink();
    present.insert_before(*node);
  }
  while (present.linked()) {
    auto* s = static_cast<ring_socket*>(present.next());
    s->unlink();
    unread_.insert_before(*s);
    s->speak();
  }
}

void ring::settle() {
  while (unread_.linked()) {
    auto* s = static_cast<ring_socket*>(unread_.next());
    s->unlink();
    s->keep();
    if (s->ended() && !s->is_watched_for_reset())
      half_open_.insert_before(*s);
  }
  for (auto* s : std::exchange(hungry_, {})) {
    s->hungry_ = false;
    s->receive(false);
  }
}

io_uring_sqe& ring::next() noexcept {
  auto* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {
    ++batch_;
    io_uring_submit(&ring_);
    entry = io_uring_get_sqe(&ring_);
  }
  return *entry;
}

void ring::cancel(ring_client& who, unsigned which) noexcept {
  auto& entry = next();
  io_uring_prep_cancel64(&entry, tag(who, which), 0);
  entry.flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(&entry, 0);
}

bool ring::take_back(ring_client& who, unsigned which) noexcept {
  const auto data = tag(who, which);
  const auto& queue = ring_.sq;
  for (auto i = queue.sqe_head; i != queue.sqe_tail; ++i) {
    auto& entry = queue.sqes[i & queue.ring_mask];
    if (entry.user_data != data || entry.opcode == IORING_OP_NOP)
      continue;
    io_uring_prep_nop(&entry);
    io_uring_sqe_set_data64(&entry, data);
    return true;
  }
  return false;
}

void ring::give_back(std::uint16_t id) noexcept {
  io_uring_buf_ring_add(buffers_, bytes_.get() + std::size_t{id} * buffer_size, buffer_size, id,
                        io_uring_buf_ring_mask(buffer_count), 0);
  io_uring_buf_ring_advance(buffers_, 1);
}

} // namespace marchproxy::net
