// SPDX-License-Identifier: AGPL-3.0-only
// pfserve - minimal origin: HTTP/1.1 (keep-alive, /<n>[k|m] = body size), TLS, UDP sink with credit
// feedback. One thread, epoll. Deliberately does as little as possible so the proxy is what gets
// measured.
#define _GNU_SOURCE
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { K_LISTEN, K_TLSLISTEN, K_CONN, K_UDP, K_UDPCTL };
struct obj {
  enum kind k;
  int fd;
  SSL* ssl;
  int hs_done;
  char in[4096];
  int inlen;
  char head[256];
  int headlen, headoff;
  long body;
  int close_after;
};
static int ep;
static SSL_CTX* ctx;
static char* pat;
enum { PATLEN = 1 << 20 };
static struct sockaddr_in ctl_peer;
static int ctl_fd = -1, have_peer;
static unsigned long long udp_rx, udp_last;

static int mklisten(const char* ip, int port, int type) {
  int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &a.sin_addr);
  if (bind(fd, (void*)&a, sizeof a)) {
    perror("bind");
    exit(1);
  }
  if (type == SOCK_STREAM && listen(fd, 65535)) {
    perror("listen");
    exit(1);
  }
  return fd;
}
static void add(enum kind k, int fd, unsigned ev) {
  struct obj* o = calloc(1, sizeof *o);
  o->k = k;
  o->fd = fd;
  struct epoll_event e = {.events = ev, .data.ptr = o};
  epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}
static void drop(struct obj* o) {
  if (o->ssl) {
    SSL_free(o->ssl);
  }
  close(o->fd);
  free(o);
}
static long io_read(struct obj* o, void* b, size_t n) {
  if (!o->ssl) {
    long r = recv(o->fd, b, n, 0);
    return r >= 0 ? (r ? r : -2) : (errno == EAGAIN ? -1 : -2);
  }
  int r = SSL_read(o->ssl, b, n);
  if (r > 0)
    return r;
  int e = SSL_get_error(o->ssl, r);
  return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? -1 : -2;
}
static long io_write(struct obj* o, struct iovec* v, int nv) {
  if (!o->ssl) {
    struct msghdr m = {.msg_iov = v, .msg_iovlen = nv};
    long r = sendmsg(o->fd, &m, MSG_NOSIGNAL);
    return r >= 0 ? r : (errno == EAGAIN ? -1 : -2);
  }
  static char tmp[16384];
  size_t n = 0;
  for (int i = 0; i < nv && n < sizeof tmp; i++) {
    size_t k = v[i].iov_len;
    if (k > sizeof tmp - n)
      k = sizeof tmp - n;
    memcpy(tmp + n, v[i].iov_base, k);
    n += k;
  }
  int r = SSL_write(o->ssl, tmp, n);
  if (r > 0)
    return r;
  int e = SSL_get_error(o->ssl, r);
  return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? -1 : -2;
}
// returns 0 flushed, 1 would block, -1 dead
static int flush(struct obj* o) {
  while (o->headoff < o->headlen || o->body > 0) {
    struct iovec v[2];
    int nv = 0;
    if (o->headoff < o->headlen)
      v[nv++] = (struct iovec){o->head + o->headoff, o->headlen - o->headoff};
    if (o->body > 0)
      v[nv++] = (struct iovec){pat, o->body > PATLEN ? PATLEN : o->body};
    long r = io_write(o, v, nv);
    if (r == -1)
      return 1;
    if (r < 0)
      return -1;
    long h = o->headlen - o->headoff;
    if (h > r)
      h = r;
    o->headoff += h;
    o->body -= r - h;
  }
  return o->close_after ? -1 : 0;
}
static int serve(struct obj* o) {
  for (;;) {
    int f = flush(o);
    if (f)
      return f < 0 ? -1 : 0;
    char* end = o->inlen ? memmem(o->in, o->inlen, "\r\n\r\n", 4) : 0;
    if (!end) {
      if (o->inlen == sizeof o->in)
        return -1;
      long r = io_read(o, o->in + o->inlen, sizeof o->in - o->inlen);
      if (r == -1)
        return 0;
      if (r < 0)
        return -1;
      o->inlen += r;
      continue;
    }
    char* p = memchr(o->in, ' ', end - o->in);
    if (!p)
      return -1;
    p++;
    if (!strncmp(p, "http://", 7)) {
      p = strchr(p + 7, '/');
      if (!p)
        return -1;
    }
    long n = strtol(p + 1, &p, 10);
    if (*p == 'k')
      n <<= 10;
    else if (*p == 'm')
      n <<= 20;
    *end = 0;
    char* eol = strstr(o->in, "\r\n");
    int v10 = eol && eol[-1] == '0';
    char* c = strcasestr(o->in, "\nconnection:");
    int ka = !v10;
    if (c) {
      c += 12;
      while (*c == ' ')
        c++;
      if (!strncasecmp(c, "close", 5))
        ka = 0;
      else if (!strncasecmp(c, "keep-alive", 10))
        ka = 1;
    }
    o->close_after = !ka;
    o->headlen =
      sprintf(o->head,
              "HTTP/1.1 200 OK\r\nServer: pf\r\nContent-Type: "
              "application/octet-stream\r\nContent-Length: %ld\r\n%s\r\n",
              n, ka ? (v10 ? "Connection: keep-alive\r\n" : "") : "Connection: close\r\n");
    o->headoff = 0;
    o->body = n;
    int used = end + 4 - o->in;
    o->inlen -= used;
    memmove(o->in, o->in + used, o->inlen);
  }
}
static void credit(void) {
  if (have_peer) {
    sendto(ctl_fd, &udp_rx, 8, MSG_DONTWAIT, (void*)&ctl_peer, sizeof ctl_peer);
    udp_last = udp_rx;
  }
}
static void accept_some(struct obj* l) {
  for (int b = 0; b < 64; b++) {
    int fd = accept4(l->fd, 0, 0, SOCK_NONBLOCK);
    if (fd < 0)
      break;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct obj* c = calloc(1, sizeof *c);
    c->k = K_CONN;
    c->fd = fd;
    if (l->k == K_TLSLISTEN) {
      c->ssl = SSL_new(ctx);
      SSL_set_fd(c->ssl, fd);
      SSL_set_accept_state(c->ssl);
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
  }
}
static void on_connection(struct obj* o, unsigned events) {
  if (events & (EPOLLERR | EPOLLHUP)) {
    drop(o);
    return;
  }
  if (!(events & (EPOLLIN | EPOLLRDHUP)) && o->headoff == o->headlen && o->body == 0 && !o->ssl)
    return;
  if (serve(o) < 0)
    drop(o);
}
/// Counts what comes. What begins with an e is sent back.
static void count_packets(int fd) {
  enum { B = 64 };
  static char ub[B][2048];
  static struct mmsghdr mm[B];
  static struct iovec iv[B];
  static struct sockaddr_in from[B];
  for (;;) {
    for (int i = 0; i < B; i++) {
      iv[i] = (struct iovec){ub[i], 2048};
      mm[i] = (struct mmsghdr){
        .msg_hdr = {
          .msg_name = &from[i], .msg_namelen = sizeof *from, .msg_iov = &iv[i], .msg_iovlen = 1}};
    }
    int r = recvmmsg(fd, mm, B, MSG_DONTWAIT, 0);
    if (r <= 0)
      break;
    udp_rx += r;
    for (int i = 0; i < r; i++)
      iv[i].iov_len = mm[i].msg_len;
    if (mm[0].msg_len > 0 && ub[0][0] == 'e')
      sendmmsg(fd, mm, r, MSG_DONTWAIT);
    if (udp_rx - udp_last >= 128)
      credit();
    if (r < B)
      break;
  }
}
static void greet(int fd) {
  char b[16];
  socklen_t l = sizeof ctl_peer;
  if (recvfrom(fd, b, 16, 0, (void*)&ctl_peer, &l) > 0) {
    have_peer = 1;
    credit();
  }
}
static void handle(struct obj* o, unsigned events) {
  switch (o->k) {
  case K_LISTEN:
  case K_TLSLISTEN:
    accept_some(o);
    break;
  case K_CONN:
    on_connection(o, events);
    break;
  case K_UDP:
    count_packets(o->fd);
    break;
  case K_UDPCTL:
    greet(o->fd);
    break;
  }
}
struct places {
  const char *ip, *cert, *key;
  int http, tls, udp, uctl;
};
static struct places parse(int ac, char** av) {
  struct places p = {.ip = "0.0.0.0"};
  for (int i = 1; i + 1 < ac; i += 2) {
    if (!strcmp(av[i], "--bind"))
      p.ip = av[i + 1];
    else if (!strcmp(av[i], "--http"))
      p.http = atoi(av[i + 1]);
    else if (!strcmp(av[i], "--tls"))
      p.tls = atoi(av[i + 1]);
    else if (!strcmp(av[i], "--cert"))
      p.cert = av[i + 1];
    else if (!strcmp(av[i], "--key"))
      p.key = av[i + 1];
    else if (!strcmp(av[i], "--udp"))
      p.udp = atoi(av[i + 1]);
    else if (!strcmp(av[i], "--udpctl"))
      p.uctl = atoi(av[i + 1]);
  }
  return p;
}
static void open_all(struct places p) {
  if (p.http)
    add(K_LISTEN, mklisten(p.ip, p.http, SOCK_STREAM), EPOLLIN);
  if (p.tls) {
    ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate_chain_file(ctx, p.cert);
    SSL_CTX_use_PrivateKey_file(ctx, p.key, SSL_FILETYPE_PEM);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                            | SSL_MODE_RELEASE_BUFFERS);
    add(K_TLSLISTEN, mklisten(p.ip, p.tls, SOCK_STREAM), EPOLLIN);
  }
  if (p.udp) {
    int fd = mklisten(p.ip, p.udp, SOCK_DGRAM), sz = 64 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &sz, sizeof sz);
    add(K_UDP, fd, EPOLLIN);
    ctl_fd = mklisten(p.ip, p.uctl, SOCK_DGRAM);
    add(K_UDPCTL, ctl_fd, EPOLLIN);
  }
}
int main(int ac, char** av) {
  signal(SIGPIPE, SIG_IGN);
  struct rlimit rl = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &rl);
  pat = malloc(PATLEN);
  memset(pat, 'x', PATLEN);
  ep = epoll_create1(0);
  open_all(parse(ac, av));
  struct epoll_event ev[256];
  for (;;) {
    int n = epoll_wait(ep, ev, 256, have_peer && udp_rx != udp_last ? 1 : -1);
    if (n <= 0 && udp_rx != udp_last)
      credit();
    for (int i = 0; i < n; i++)
      handle(ev[i].data.ptr, ev[i].events);
  }
}
