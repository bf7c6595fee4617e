// SPDX-License-Identifier: AGPL-3.0-only
// pfrelay - floors: the least work that a relay can do. It marks the limit that a real proxy is
// judged against.
//   --mode copy|splice   --tcp LIP:LPORT=DIP:DPORT (repeat)   --udp LIP:LPORT=DIP:DPORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUF = 65536 };
enum mode { COPY, SPLICE };
static enum mode mode;
static int ep;
static char sh[BUF];
struct side {
  int kind, fd, eof, shut, connecting;
  struct side* peer;
  char* pend;
  int pn, po;
  int pipe[2];
  int inpipe;
  struct sockaddr_in dst;
};
struct usess {
  struct sockaddr_in cli;
  int fd;
};
struct udpl {
  int kind, fd;
  struct sockaddr_in dst;
  struct usess* s;
};
static struct sockaddr_in sa(const char* s) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  char b[64];
  const char* p = strchr(s, ':');
  snprintf(b, sizeof b, "%.*s", (int)(p - s), s);
  inet_pton(AF_INET, b, &a.sin_addr);
  a.sin_port = htons(atoi(p + 1));
  return a;
}
static int lis(struct sockaddr_in a, int type) {
  int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (void*)&a, sizeof a)) {
    perror("bind");
    exit(1);
  }
  if (type == SOCK_STREAM)
    listen(fd, 65535);
  return fd;
}
static int pool[4096][2], npool;
static void getpipe(int* p) {
  if (npool) {
    p[0] = pool[--npool][0];
    p[1] = pool[npool][1];
  } else {
    if (pipe2(p, O_NONBLOCK)) {
      perror("pipe");
      exit(1);
    }
    fcntl(p[0], F_SETPIPE_SZ, 1 << 19);
  }
}
static void putpipe(int* p, int dirty) {
  if (p[0] < 0)
    return;
  if (!dirty && npool < 4096) {
    pool[npool][0] = p[0];
    pool[npool++][1] = p[1];
  } else {
    close(p[0]);
    close(p[1]);
  }
  p[0] = p[1] = -1;
}
static struct side* graves[8192];
static int ngraves;
static void kill2(struct side* a) {
  if (a->fd < 0)
    return;
  struct side* b = a->peer;
  struct side* v[2] = {a, b};
  for (int i = 0; i < 2; i++) {
    close(v[i]->fd);
    v[i]->fd = -1;
    free(v[i]->pend);
    v[i]->pend = 0;
    putpipe(v[i]->pipe, v[i]->inpipe);
    if (ngraves < 8192)
      graves[ngraves++] = v[i];
  }
}
static int flushp(struct side* a) { // pending of a -> peer
  struct side* b = a->peer;
  if (mode == SPLICE) {
    while (a->inpipe) {
      ssize_t w = splice(a->pipe[0], 0, b->fd, 0, a->inpipe, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (w < 0)
        return errno == EAGAIN ? 0 : -1;
      a->inpipe -= w;
    }
    return 1;
  }
  while (a->pn) {
    ssize_t w = send(b->fd, a->pend + a->po, a->pn, MSG_NOSIGNAL);
    if (w < 0)
      return errno == EAGAIN ? 0 : -1;
    a->po += w;
    a->pn -= w;
  }
  return 1;
}
static void pump(struct side* a, int more) {
  struct side* b = a->peer;
  if (a->fd < 0 || b->connecting)
    return;
  for (;;) {
    int f = flushp(a);
    if (f < 0)
      return kill2(a);
    if (!f)
      return;
    if (a->eof) {
      if (!a->shut) {
        a->shut = 1;
        shutdown(b->fd, SHUT_WR);
      }
      if (b->eof && b->shut)
        kill2(a);
      return;
    }
    if (mode == SPLICE) {
      if (a->pipe[0] < 0)
        getpipe(a->pipe);
      ssize_t r = splice(a->fd, 0, a->pipe[1], 0, 1 << 19, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (r < 0) {
        if (errno == EAGAIN)
          return;
        return kill2(a);
      }
      if (r == 0) {
        a->eof = 1;
        continue;
      }
      a->inpipe += r;
    } else {
      ssize_t r = recv(a->fd, sh, BUF, 0);
      if (r < 0) {
        if (errno == EAGAIN)
          return;
        return kill2(a);
      }
      if (r == 0) {
        a->eof = 1;
        continue;
      }
      ssize_t w = send(b->fd, sh, r, MSG_NOSIGNAL);
      if (w < 0) {
        if (errno != EAGAIN)
          return kill2(a);
        w = 0;
      }
      if (w < r) {
        if (!a->pend)
          a->pend = malloc(BUF);
        memcpy(a->pend, sh + w, r - w);
        a->pn = r - w;
        a->po = 0;
        continue;
      }
      if (r < BUF && !more)
        return; // short read: drained (FIN would raise another edge)
    }
  }
}
static void add(void* p, int fd, unsigned ev) {
  struct epoll_event e = {.events = ev, .data.ptr = p};
  epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}
static void acc(struct side* l) {
  for (int k = 0; k < 64; k++) {
    int fd = accept4(l->fd, 0, 0, SOCK_NONBLOCK);
    if (fd < 0)
      return;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int u = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(u, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct side *a = calloc(2, sizeof *a), *b = a + 1;
    *a = (struct side){.kind = 1, .fd = fd, .peer = b, .pipe = {-1, -1}};
    *b = (struct side){.kind = 1, .fd = u, .peer = a, .connecting = 1, .pipe = {-1, -1}};
    connect(u, (void*)&l->dst, sizeof l->dst);
    add(a, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    add(b, u, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  }
}
static void udp_up(struct udpl* l) { // client -> server, one upstream socket per client address
  enum { B = 32 };
  static char b[B][2048];
  static struct mmsghdr m[B], o[B];
  static struct iovec iv[B], ov[B];
  static struct sockaddr_in from[B];
  for (int i = 0; i < B; i++) {
    iv[i] = (struct iovec){b[i], 2048};
    m[i].msg_hdr = (struct msghdr){
      .msg_iov = &iv[i], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = sizeof from[i]};
  }
  for (int rounds = 0; rounds < 8; rounds++) {
    int n = recvmmsg(l->fd, m, B, MSG_DONTWAIT, 0);
    if (n <= 0)
      return;
    for (int i = 0; i < n;) {
      unsigned h = (from[i].sin_addr.s_addr * 31 + from[i].sin_port) & 4095;
      struct usess* s = &l->s[h];
      int probes = 0;
      while (s->fd >= 0
             && (s->cli.sin_port != from[i].sin_port
                 || s->cli.sin_addr.s_addr != from[i].sin_addr.s_addr)
             && probes++ < 4096)
        s = &l->s[h = (h + 1) & 4095];
      if (s->fd < 0) {
        s->cli = from[i];
        s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        connect(s->fd, (void*)&l->dst, sizeof l->dst);
      }
      int j = i;
      while (j < n && from[j].sin_port == from[i].sin_port
             && from[j].sin_addr.s_addr == from[i].sin_addr.s_addr) {
        ov[j] = (struct iovec){b[j], m[j].msg_len};
        o[j].msg_hdr = (struct msghdr){.msg_iov = &ov[j], .msg_iovlen = 1};
        j++;
      }
      sendmmsg(s->fd, o + i, j - i, 0);
      i = j;
    }
    for (int i = 0; i < n; i++)
      m[i].msg_hdr.msg_namelen = sizeof from[i];
    if (n < B)
      return;
  }
}
static struct side ls[16];
static struct udpl ul[4];
static int nl, nu;
static void parse(int ac, char** av) {
  for (int i = 1; i + 1 < ac; i += 2) {
    char *v = av[i + 1], *eq = strchr(v, '=');
    if (!strcmp(av[i], "--mode")) {
      mode = strcmp(v, "splice") ? COPY : SPLICE;
    } else if (!strcmp(av[i], "--tcp") && eq && nl < 16) {
      ls[nl] = (struct side){.kind = 0, .fd = lis(sa(v), SOCK_STREAM), .dst = sa(eq + 1)};
      nl++;
    } else if (!strcmp(av[i], "--udp") && eq && nu < 4) {
      ul[nu] = (struct udpl){.kind = 2, .fd = lis(sa(v), SOCK_DGRAM), .dst = sa(eq + 1)};
      int sz = 32 << 20;
      setsockopt(ul[nu].fd, SOL_SOCKET, SO_RCVBUFFORCE, &sz, sizeof sz);
      ul[nu].s = malloc(4096 * sizeof(struct usess));
      for (int k = 0; k < 4096; k++)
        ul[nu].s[k].fd = -1;
      nu++;
    }
  }
}
static void on_event(struct side* s, unsigned e) {
  if (s->kind == 0) {
    acc(s);
  } else if (s->kind == 2) {
    udp_up((void*)s);
  } else if (s->fd < 0) {
    return;
  } else if (e & EPOLLERR) {
    kill2(s);
  } else if (s->connecting) {
    if (!(e & EPOLLOUT))
      return;
    s->connecting = 0;
    pump(s->peer, 1);
    if (s->fd >= 0)
      pump(s, 1);
  } else {
    if (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
      pump(s, !!(e & EPOLLRDHUP));
    if (s->fd >= 0 && (e & EPOLLOUT) && (s->peer->pn || s->peer->inpipe))
      pump(s->peer, 1);
  }
}
int main(int ac, char** av) {
  signal(SIGPIPE, SIG_IGN);
  struct rlimit rl = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &rl);
  parse(ac, av);
  ep = epoll_create1(0);
  for (int i = 0; i < nl; i++)
    add(&ls[i], ls[i].fd, EPOLLIN);
  for (int i = 0; i < nu; i++)
    add(&ul[i], ul[i].fd, EPOLLIN);
  struct epoll_event ev[256];
  for (;;) {
    int n = epoll_wait(ep, ev, 256, -1);
    for (int i = 0; i < n; i++)
      on_event(ev[i].data.ptr, ev[i].events);
    for (int i = 0; i < ngraves; i++)
      if (graves[i] < graves[i]->peer)
        free(graves[i]); // pairs are allocated together
    ngraves = 0;
  }
}
