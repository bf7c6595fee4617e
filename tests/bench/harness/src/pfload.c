// SPDX-License-Identifier: AGPL-3.0-only
// pfload - load generator: rr (open or closed loop of requests), conn (short connections), idle and
// idlereq (connections that are held), udp (credit-paced flood), udprr (question and answer).
// Transports: plain, --tls; tunnels:
// --via none|absuri|connect|socks5. Prints one JSON line.
#define _GNU_SOURCE
#include "tests/bench/harness/src/pfload.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512 };

struct options opt = {.conns = 32,
                      .size = 32,
                      .flows = 8,
                      .window = 512,
                      .dur = 2,
                      .via = "none",
                      .hostpat = "origin",
                      .path = "/1k",
                      .expect = 200,
                      .nhosts = 1,
                      .hport = 80};
struct totals sum;
struct message* messages;
SSL_CTX* tls_context;
int epoll;
u64 ticks;
static struct conn* cs;
static struct epoll_event ev[EVENTS];

void parse_address(struct sockaddr_in* a, const char* text) {
  const char* p = strchr(text, ':');
  if (!p) {
    fprintf(stderr, "bad address %s\n", text);
    exit(2);
  }
  a->sin_family = AF_INET;
  a->sin_port = htons(atoi(p + 1));
  char b[64];
  snprintf(b, sizeof b, "%.*s", (int)(p - text), text);
  inet_pton(AF_INET, b, &a->sin_addr);
}
double cpu_microseconds(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec * 1e6 + r.ru_utime.tv_usec + r.ru_stime.tv_sec * 1e6
         + r.ru_stime.tv_usec;
}

enum kind { TEXT, INT, REAL, FLAG, TLS12 };
static const struct {
  const char* name;
  enum kind kind;
  size_t at;
} flags[] = {
#define FLAG_OF(name, kind, member)                                                                \
  { name, kind, offsetof(struct options, member) }
  FLAG_OF("--target", TEXT, target), FLAG_OF("--ctl", TEXT, ctl),
  FLAG_OF("--via", TEXT, via),       FLAG_OF("--host", TEXT, hostpat),
  FLAG_OF("--path", TEXT, path),     FLAG_OF("--ciphers", TEXT, ciphers),
  FLAG_OF("--conns", INT, conns),    FLAG_OF("--port", INT, hport),
  FLAG_OF("--nhosts", INT, nhosts),  FLAG_OF("--expect", INT, expect),
  FLAG_OF("--size", INT, size),      FLAG_OF("--flows", INT, flows),
  FLAG_OF("--window", INT, window),  FLAG_OF("--rate", REAL, rate),
  FLAG_OF("--dur", REAL, dur),       FLAG_OF("--tls", FLAG, tls),
  FLAG_OF("--resume", FLAG, resume), FLAG_OF("--rst", FLAG, rst),
  FLAG_OF("--tls12", TLS12, maxtls),
#undef FLAG_OF
};
static void refuse(const char* argument) {
  fprintf(stderr, "bad arg %s\n", argument);
  exit(2);
}
static void parse(int ac, char** av) {
  if (ac < 2)
    refuse("(none)");
  opt.mode = av[1];
  for (int i = 2; i < ac; i++) {
    size_t f = 0, known = sizeof flags / sizeof *flags;
    while (f < known && strcmp(av[i], flags[f].name))
      f++;
    if (f == known)
      refuse(av[i]);
    void* to = (char*)&opt + flags[f].at;
    if (flags[f].kind <= REAL && ++i == ac)
      refuse(av[i - 1]);
    if (flags[f].kind == TEXT)
      *(char**)to = av[i];
    else if (flags[f].kind == INT)
      *(int*)to = atoi(av[i]);
    else if (flags[f].kind == REAL)
      *(double*)to = atof(av[i]);
    else
      *(int*)to = flags[f].kind == TLS12 ? TLS1_2_VERSION : 1;
  }
  if (!opt.target)
    refuse("(no --target)");
  opt.mode_conn = !strcmp(opt.mode, "conn");
  opt.mode_idle = !strcmp(opt.mode, "idle") ? 1 : !strcmp(opt.mode, "idlereq") ? 2 : 0;
}
static void prepare_tls(void) {
  tls_context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(tls_context, SSL_VERIFY_NONE, 0);
  if (opt.maxtls)
    SSL_CTX_set_max_proto_version(tls_context, opt.maxtls);
  if (opt.ciphers)
    SSL_CTX_set_cipher_list(tls_context, opt.ciphers);
  // With its cache on, OpenSSL takes a TLS 1.3 session for used up once it was resumed.
  SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(tls_context, SSL_MODE_RELEASE_BUFFERS);
}
static void socks_request(struct message* m, const char* h) {
  m->tun = malloc(300);
  int n = strlen(h);
  memcpy(m->tun, "\5\1\0\3", 4);
  struct in_addr ia;
  if (inet_pton(AF_INET, h, &ia) == 1) {
    m->tun[3] = 1;
    memcpy(m->tun + 4, &ia, 4);
    m->tunl = 8;
  } else {
    m->tun[4] = n;
    memcpy(m->tun + 5, h, n);
    m->tunl = 5 + n;
  }
  m->tun[m->tunl++] = opt.hport >> 8;
  m->tun[m->tunl++] = opt.hport;
}
static void prepare_message(struct message* m, int i) {
  const char* fields = "User-Agent: pf\r\n";
  char h[250], hp[300];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  snprintf(h, sizeof h, opt.hostpat, i); // --host is a pattern with one %d
#pragma GCC diagnostic pop
  if (opt.hport == 80)
    strcpy(hp, h);
  else
    snprintf(hp, sizeof hp, "%s:%d", h, opt.hport);
  int absolute = !strcmp(opt.via, "absuri");
  m->reql = asprintf(&m->req, "GET %s%s%s HTTP/1.1\r\nHost: %s\r\n%sAccept: */*\r\n\r\n",
                     absolute ? "http://" : "", absolute ? hp : "", opt.path, hp, fields);
  if (!strcmp(opt.via, "socks5"))
    socks_request(m, h);
  else
    m->tunl = asprintf(&m->tun, "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n%s\r\n", h, opt.hport, h,
                       opt.hport, fields);
}
static void handle(int limit_ms) {
  int n = epoll_wait(epoll, ev, EVENTS, limit_ms);
  for (int i = 0; i < n; i++)
    step(ev[i].data.ptr);
}
/// Opens connections, says so, and holds them until its input ends.
static int hold_idle(void) {
  u64 begin = now();
  int started = 0;
  while (sum.ops + sum.errs < (u64)opt.conns && now() - begin < 60e9) {
    while (started < opt.conns && started - (int)(sum.ops + sum.errs) < 256)
      launch(&cs[started++]);
    handle(1000);
  }
  printf("{\"ops\":%lu,\"errors\":%lu,\"dur\":%.3f}\n", sum.ops, sum.errs, (now() - begin) / 1e9);
  fflush(stdout);
  char b;
  return read(0, &b, 1) < 0;
}
static void establish(void) {
  for (u64 lim = now() + 5000000000ull; now() < lim;) {
    int up = 0;
    for (int i = 0; i < opt.conns; i++)
      up += cs[i].st == S_IDLE || cs[i].st == S_DEAD;
    if (up == opt.conns)
      break;
    handle(100);
  }
}
static void request_now(struct conn* c) {
  c->due = now();
  begin_req(c);
  step(c);
}
/// Open loop: begins the requests that are due. @return when the next one is
static u64 begin_due(u64 next, u64 t, u64 gap) {
  static int rr;
  for (; next <= t; next += gap) {
    struct conn* c = &cs[rr];
    rr = (rr + 1) % opt.conns;
    if (c->st == S_IDLE) {
      c->due = next;
      begin_req(c);
      step(c);
    } else if (c->st != S_DEAD && c->st >= S_SEND) {
      c->backlog++;
    }
  }
  return next;
}
static void on_event(struct conn* c, int closed_loop) {
  if (c->st != S_DEAD)
    step(c);
  if (c->st == S_DEAD) {
    close_connection(c);
    if (!opt.mode_conn)
      c->backlog = 0;
    launch(c);
    if (closed_loop)
      c->due = c->t0;
  }
  if (closed_loop && c->st == S_IDLE)
    request_now(c);
}
static void run(u64 t0) {
  u64 tend = t0 + opt.dur * 1e9, next = t0, gap = 0;
  if (!opt.mode_conn && opt.rate > 0) {
    gap = 1e9 / opt.rate;
    ticks = gap * opt.conns;
  }
  int closed_loop = !opt.mode_conn && !gap;
  for (int i = 0; closed_loop && i < opt.conns; i++)
    if (cs[i].st == S_IDLE)
      request_now(&cs[i]);
  for (u64 t = now(); t < tend; t = now()) {
    if (gap)
      next = begin_due(next, t, gap);
    u64 lim = gap && next < tend ? next : tend;
    t = now();
    u64 w = lim > t ? lim - t : 0;
    struct timespec ts = {w / 1000000000, w % 1000000000};
    int n = epoll_pwait2(epoll, ev, EVENTS, &ts, 0);
    for (int i = 0; i < n; i++)
      on_event(ev[i].data.ptr, closed_loop);
    for (int i = 0; opt.mode_conn && i < opt.conns; i++)
      if (cs[i].fd < 0)
        launch(&cs[i]);
  }
}
int main(int ac, char** av) {
  parse(ac, av);
  signal(SIGPIPE, SIG_IGN);
  struct rlimit rl = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &rl);
  prctl(PR_SET_TIMERSLACK, 1);
  if (!strcmp(opt.mode, "udp"))
    return flood_udp();
  if (!strcmp(opt.mode, "udprr"))
    return ask_udp();
  parse_address(&opt.dst, opt.target);
  epoll = epoll_create1(0);
  if (opt.tls)
    prepare_tls();
  messages = calloc(opt.nhosts, sizeof *messages);
  for (int i = 0; i < opt.nhosts; i++)
    prepare_message(&messages[i], i);
  cs = calloc(opt.conns, sizeof *cs);
  if (opt.mode_idle)
    return hold_idle();
  for (int i = 0; i < opt.conns; i++)
    launch(&cs[i]);
  if (!opt.mode_conn)
    establish();
  u64 t0 = now();
  run(t0);
  double el = (now() - t0) / 1e9;
  printf(
    "{\"ops\":%lu,\"errors\":%lu,\"dur\":%.4f,\"rate\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,"
    "\"p999\":%.1f,\"max\":%.1f,\"bytes\":%lu,\"cpu_us\":%.0f,\"e_connect\":%lu,\"e_status\":%lu,"
    "\"e_eof\":%lu,\"e_other\":%lu,\"reconnects\":%lu,\"resumed\":%lu,\"tls\":\"%s\"}\n",
    sum.ops, sum.errs, el, sum.ops / el, pct(.5), pct(.9), pct(.99), pct(.999), longest(),
    sum.bytes, cpu_microseconds(), sum.connect, sum.status, sum.eof, sum.other, sum.reconn,
    sum.resumed, sum.terms);
  return 0;
}
