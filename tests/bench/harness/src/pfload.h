// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "tests/bench/harness/src/histogram.h"

#include <openssl/ssl.h>

#include <netinet/in.h>

/// What the command line says; set once.
struct options {
  char *mode, *target, *ctl;
  int conns, size, flows, window, maxtls;
  double rate, dur;
  const char *ciphers, *via, *hostpat;
  char* path;
  int mode_conn, mode_idle, tls, resume, expect, nhosts, hport, rst;
  struct sockaddr_in dst;
};
/// What was done so far.
struct totals {
  u64 ops, errs, bytes, reconn, connect, status, eof, other, resumed;
  char terms[96]; ///< of the first TLS handshake: version, cipher, group
};
/// Bytes to send for each host: the request, and what asks the proxy for the tunnel.
struct message {
  char *req, *tun;
  int reql, tunl;
};
enum st { S_CONNECT, S_SOCKS1, S_SOCKS2, S_TUN, S_TLS, S_IDLE, S_SEND, S_HDR, S_BODY, S_DEAD };
struct conn {
  int fd, served;
  enum st st;
  SSL* ssl;
  u64 t0, due;
  int backlog, reqi, off, hl, tunoff;
  long body;
  char hb[2048];
};

extern struct options opt;
extern struct totals sum;
extern struct message* messages;
extern SSL_CTX* tls_context;
extern int epoll;
extern u64 ticks; ///< nanoseconds between the requests of a connection; 0: closed loop

void parse_address(struct sockaddr_in* a, const char* text);
double cpu_microseconds(void);
int flood_udp(void);
int ask_udp(void);

/// Opens a connection and watches it.
void launch(struct conn* c);
void close_connection(struct conn* c);
/// Does what can be done on it now.
void step(struct conn* c);
void begin_req(struct conn* c);
