// SPDX-License-Identifier: AGPL-3.0-only
// UDP of pfload: a credit-paced flood, with never more packets under way than the sink can hold, so
// that none is lost; and flows that ask, each once more when the answer is there.
#define _GNU_SOURCE
#include "tests/bench/harness/src/pfload.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BATCH = 32, MAX_FLOWS = 256 };

static int fd[MAX_FLOWS], control;
static u64 base; ///< packets that the sink had counted before

static void open_control(void) {
  struct sockaddr_in k = {0};
  parse_address(&k, opt.ctl);
  control = socket(AF_INET, SOCK_DGRAM, 0);
  connect(control, (void*)&k, sizeof k);
}
static void open_flows(void) {
  struct sockaddr_in t = {0};
  parse_address(&t, opt.target);
  for (int i = 0; i < opt.flows; i++) {
    fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
    connect(fd[i], (void*)&t, sizeof t);
    int sz = 4 << 20;
    setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &sz, sizeof sz);
  }
}
/// Makes itself known to the sink. @return 0 when it does not answer
static int greet(void) {
  struct pollfd pf = {control, POLLIN, 0};
  u64 r;
  int ok = 0;
  for (int i = 0; i < 50 && !ok; i++) {
    send(control, "hello", 5, 0);
    if (poll(&pf, 1, 20) > 0 && recv(control, &r, 8, 0) == 8) {
      base = r;
      ok = 1;
    }
  }
  while (ok && poll(&pf, 1, 30) > 0) {
    recv(control, &r, 8, 0);
    base = r;
  }
  return ok;
}
static void read_credit(u64* acked) {
  u64 r;
  while (recv(control, &r, 8, MSG_DONTWAIT) == 8)
    *acked = r - base;
}
int flood_udp(void) {
  if (opt.flows > MAX_FLOWS)
    return 2;
  open_control();
  open_flows();
  static char buf[2048];
  struct mmsghdr m[BATCH];
  struct iovec iv = {buf, opt.size};
  for (int i = 0; i < BATCH; i++)
    m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iv, .msg_iovlen = 1}};
  if (!greet()) {
    printf("{\"error\":\"no udp control\"}\n");
    return 1;
  }
  struct pollfd pf = {control, POLLIN, 0};
  u64 t0 = now(), te = t0 + opt.dur * 1e9, sent = 0, acked = 0, lost = 0, r;
  int f = 0;
  while (now() < te) {
    while (sent - lost - acked + BATCH <= (u64)opt.window) {
      int n = sendmmsg(fd[f], m, BATCH, 0);
      f = (f + 1) % opt.flows;
      if (n <= 0) {
        if (errno == ECONNREFUSED)
          continue;
        poll(0, 0, 1);
        break;
      }
      sent += n;
      if (recv(control, &r, 8, MSG_DONTWAIT) == 8)
        acked = r - base;
    }
    // On a busy machine the sink may not run for a while; what it has not counted is not lost yet.
    if (poll(&pf, 1, 100) > 0)
      read_credit(&acked);
    else
      lost = sent - acked;
  }
  double el = (now() - t0) / 1e9;
  poll(0, 0, 30);
  read_credit(&acked);
  printf("{\"ops\":%lu,\"errors\":%lu,\"sent\":%lu,\"dur\":%.4f,\"rate\":%.1f,\"cpu_us\":%.0f}\n",
         acked, sent - acked, sent, el, acked / el, cpu_microseconds());
  return 0;
}

/// @return answers that were there
static u64 hear(int epoll_of_flows, const char* question) {
  struct epoll_event ev[MAX_FLOWS];
  char answer[2048];
  u64 heard = 0;
  int n = epoll_wait(epoll_of_flows, ev, MAX_FLOWS, 1000);
  for (int i = 0; i < n; i++) {
    if (recv(ev[i].data.fd, answer, sizeof answer, MSG_DONTWAIT) != opt.size)
      continue;
    heard++;
    send(ev[i].data.fd, question, opt.size, MSG_DONTWAIT);
  }
  return heard;
}
int ask_udp(void) {
  if (opt.flows > MAX_FLOWS || opt.size < 1 || opt.size > 2048)
    return 2;
  open_flows();
  static char question[2048] = "e";
  int flows_ep = epoll_create1(0);
  u64 t0 = now(), te = t0 + opt.dur * 1e9, asked = opt.flows, answered = 0, lost = 0;
  for (int i = 0; i < opt.flows; i++) {
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd[i]};
    epoll_ctl(flows_ep, EPOLL_CTL_ADD, fd[i], &e);
    send(fd[i], question, opt.size, MSG_DONTWAIT);
  }
  while (now() < te) {
    u64 heard = hear(flows_ep, question);
    answered += heard;
    asked += heard;
    for (int i = 0; !heard && i < opt.flows; i++, lost++, asked++) // all stand still
      send(fd[i], question, opt.size, MSG_DONTWAIT);
  }
  double el = (now() - t0) / 1e9;
  printf("{\"ops\":%lu,\"errors\":%lu,\"sent\":%lu,\"dur\":%.4f,\"rate\":%.1f,\"cpu_us\":%.0f}\n",
         answered, lost, asked, el, answered / el, cpu_microseconds());
  return 0;
}
