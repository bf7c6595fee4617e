// SPDX-License-Identifier: AGPL-3.0-only
// The life of one connection of pfload.
#define _GNU_SOURCE
#include "tests/bench/harness/src/pfload.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/// What a step of the state machine says: again, for the state that it left; wait, for an event.
enum next { AGAIN, WAIT };

static int rsp_close;
static u64 seq;
static SSL_SESSION* sess;
static char rb[1 << 17];

static enum next fail(struct conn* c, u64* k) {
  if (c->served && (c->st == S_IDLE || c->st == S_SEND || (c->st == S_HDR && !c->hl)))
    sum.reconn++;
  else {
    sum.errs++;
    (*k)++;
  }
  c->st = S_DEAD;
  return WAIT;
}
static long rd(struct conn* c, void* b, size_t n) {
  if (!c->ssl || c->st < S_TLS) {
    long r = recv(c->fd, b, n, 0);
    return r > 0 ? r : r == 0 ? -2 : errno == EAGAIN ? -1 : -2;
  }
  int r = SSL_read(c->ssl, b, n);
  if (r > 0)
    return r;
  int e = SSL_get_error(c->ssl, r);
  return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? -1 : -2;
}
static long wr(struct conn* c, const void* b, size_t n) {
  if (!c->ssl || c->st < S_TLS) {
    long r = send(c->fd, b, n, MSG_NOSIGNAL);
    return r >= 0 ? r : errno == EAGAIN ? -1 : -2;
  }
  int r = SSL_write(c->ssl, b, n);
  if (r > 0)
    return r;
  int e = SSL_get_error(c->ssl, r);
  return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? -1 : -2;
}
void close_connection(struct conn* c) {
  if (c->ssl) {
    if (opt.resume && !sess)
      sess = SSL_get1_session(c->ssl);
    SSL_set_quiet_shutdown(c->ssl, 1);
    SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    c->ssl = 0;
  }
  if (c->fd >= 0) {
    if (opt.rst) {
      struct linger l = {1, 0};
      setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    close(c->fd);
  }
  c->fd = -1;
}
void begin_req(struct conn* c) {
  c->st = S_SEND;
  c->off = 0;
  c->hl = 0;
  c->body = 0;
  c->reqi = seq++ % opt.nhosts;
}
static void ready(struct conn* c) { // handshake/tunnel complete
  if (opt.mode_idle == 1) {
    sum.ops++;
    rec(now() - c->t0);
    c->st = S_IDLE;
    return;
  }
  if (opt.mode_conn || opt.mode_idle)
    begin_req(c);
  else
    c->st = S_IDLE;
}

static enum next on_connect(struct conn* c) {
  int e = 0;
  socklen_t l = sizeof e;
  struct sockaddr_in p;
  socklen_t pl = sizeof p;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
  if (e)
    return fail(c, &sum.connect);
  if (getpeername(c->fd, (void*)&p, &pl))
    return WAIT;
  c->tunoff = 0;
  c->hl = 0;
  c->reqi = seq % opt.nhosts;
  if (!strcmp(opt.via, "connect"))
    c->st = S_TUN;
  else if (!strcmp(opt.via, "socks5"))
    c->st = S_SOCKS1;
  else if (opt.tls)
    c->st = S_TLS;
  else
    ready(c);
  return AGAIN;
}
static enum next on_socks_greeting(struct conn* c) {
  if (!c->tunoff) {
    if (send(c->fd, "\5\1\0", 3, MSG_NOSIGNAL) != 3)
      return fail(c, &sum.other);
    c->tunoff = 1;
  }
  long r = recv(c->fd, c->hb, 2, 0);
  if (r < 0 && errno == EAGAIN)
    return WAIT;
  if (r != 2 || c->hb[1])
    return fail(c, &sum.status);
  c->st = S_SOCKS2;
  c->tunoff = 0;
  return AGAIN;
}
static enum next on_tunnel(struct conn* c) {
  if (!c->tunoff) {
    int n = messages[c->reqi].tunl;
    if (send(c->fd, messages[c->reqi].tun, n, MSG_NOSIGNAL) != n)
      return fail(c, &sum.other);
    c->tunoff = 1;
  }
  long r = recv(c->fd, c->hb + c->hl, sizeof c->hb - 1 - c->hl, 0);
  if (r < 0 && errno == EAGAIN)
    return WAIT;
  if (r <= 0)
    return fail(c, &sum.eof);
  c->hl += r;
  c->hb[c->hl] = 0;
  if (c->st == S_SOCKS2) {
    if (c->hl < 10)
      return AGAIN;
    if (c->hb[1])
      return fail(c, &sum.status);
  } else {
    if (!strstr(c->hb, "\r\n\r\n"))
      return AGAIN;
    if (atoi(c->hb + 9) != opt.expect)
      return fail(c, &sum.status);
    if (opt.expect != 200) {
      sum.ops++;
      rec(now() - c->t0);
      c->st = S_DEAD;
      return WAIT;
    }
  }
  if (opt.tls)
    c->st = S_TLS;
  else
    ready(c);
  return AGAIN;
}
static enum next on_handshake(struct conn* c) {
  if (!c->ssl) {
    c->ssl = SSL_new(tls_context);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_tlsext_host_name(c->ssl, "pf.test");
    if (opt.resume && sess)
      SSL_set_session(c->ssl, sess);
    SSL_set_connect_state(c->ssl);
  }
  int r = SSL_do_handshake(c->ssl);
  if (r == 1) {
    sum.resumed += SSL_session_reused(c->ssl);
    if (!*sum.terms)
      snprintf(sum.terms, sizeof sum.terms, "%s %s %s", SSL_get_version(c->ssl),
               SSL_get_cipher_name(c->ssl), OBJ_nid2sn(SSL_get_negotiated_group(c->ssl)));
    ready(c);
    return AGAIN;
  }
  int e = SSL_get_error(c->ssl, r);
  return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? WAIT : fail(c, &sum.other);
}
static enum next on_idle(struct conn* c) { // drain / detect close
  char b[64];
  long r = c->ssl ? rd(c, b, sizeof b) : recv(c->fd, b, sizeof b, 0);
  return r == -2 || r == 0 ? fail(c, &sum.eof) : WAIT;
}
static enum next on_send(struct conn* c) {
  struct message* m = &messages[c->reqi];
  long r = wr(c, m->req + c->off, m->reql - c->off);
  if (r == -1)
    return WAIT;
  if (r < 0)
    return fail(c, &sum.other);
  c->off += r;
  if (c->off == m->reql)
    c->st = S_HDR;
  return AGAIN;
}
static enum next on_head(struct conn* c) {
  long r = rd(c, c->hb + c->hl, sizeof c->hb - 1 - c->hl);
  if (r == -1)
    return WAIT;
  if (r < 0)
    return fail(c, &sum.eof);
  sum.bytes += r;
  c->hl += r;
  c->hb[c->hl] = 0;
  char* e = strstr(c->hb, "\r\n\r\n");
  if (!e)
    return c->hl >= (int)sizeof c->hb - 1 ? fail(c, &sum.other) : AGAIN;
  if (atoi(c->hb + 9) != opt.expect) {
    static int once;
    if (!once++) {
      *e = 0;
      fprintf(stderr, "unexpected: %.200s\n", c->hb);
    }
    return fail(c, &sum.status);
  }
  char* cl = strcasestr(c->hb, "content-length:");
  if (!cl || cl > e) {
    if (opt.expect == 200)
      return fail(c, &sum.other);
    sum.ops++;
    rec(now() - c->due);
    c->st = S_DEAD;
    return WAIT;
  }
  c->body = atol(cl + 15) - (c->hl - (e + 4 - c->hb));
  char* k = strcasestr(c->hb, "connection: close");
  rsp_close = k && k < e;
  c->st = S_BODY;
  return AGAIN;
}
static enum next on_body(struct conn* c) {
  while (c->body > 0) {
    long r = rd(c, rb, sizeof rb);
    if (r == -1)
      return WAIT;
    if (r < 0)
      return fail(c, &sum.eof);
    c->body -= r;
    sum.bytes += r;
  }
  u64 t = now();
  sum.ops++;
  c->served = 1;
  rec(t - ((opt.mode_conn || opt.mode_idle) ? c->t0 : c->due));
  c->st = !opt.mode_idle && (opt.mode_conn || rsp_close) ? S_DEAD : S_IDLE;
  if (opt.mode_idle || c->st == S_DEAD)
    return WAIT;
  if (!ticks) {
    c->due = t;
    begin_req(c);
    return AGAIN;
  }
  if (c->backlog) {
    c->backlog--;
    c->due += ticks;
    begin_req(c);
    return AGAIN;
  }
  return WAIT;
}
static enum next one_step(struct conn* c) {
  switch (c->st) {
  case S_CONNECT:
    return on_connect(c);
  case S_SOCKS1:
    return on_socks_greeting(c);
  case S_SOCKS2:
  case S_TUN:
    return on_tunnel(c);
  case S_TLS:
    return on_handshake(c);
  case S_IDLE:
    return on_idle(c);
  case S_SEND:
    return on_send(c);
  case S_HDR:
    return on_head(c);
  case S_BODY:
    return on_body(c);
  case S_DEAD:
    break;
  }
  return WAIT;
}
void step(struct conn* c) {
  while (one_step(c) == AGAIN) {
  }
}
void launch(struct conn* c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->st = S_CONNECT;
  c->served = 0;
  c->t0 = now();
  c->hl = 0;
  c->tunoff = 0;
  if (connect(c->fd, (void*)&opt.dst, sizeof opt.dst) && errno != EINPROGRESS) {
    sum.connect++;
    sum.errs++;
    close_connection(c);
    c->st = S_DEAD;
    return;
  }
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
}
