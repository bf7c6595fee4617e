# SPDX-License-Identifier: AGPL-3.0-only
"""The clients and the origin of slow_clients, as programs of their own. Each prints one JSON value.

  drip.py slow PROXY_PORT KIND COUNT SECONDS ORIGIN   COUNT clients that send a byte a second, of a head or of a body
  drip.py probe PROXY_PORT SECONDS ORIGIN             one request at a time; what each took
  drip.py origin PORT...                              answers GET, and POST when its body is there; until it is killed

ORIGIN is the authority that requests name. All on 127.0.0.1.
"""

import heapq
import http.client
import json
import selectors
import socket
import sys
import time

EVERY = 1.0  # seconds between two bytes of a client
OPENS_A_TURN = 64


def request_of(kind, origin):
    """What a slow client sends at once; the bytes after it drip."""
    if kind == "head":
        return f"GET http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\nX-Slow: ".encode()
    return f"POST http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\nContent-Length: 1000000\r\n\r\n".encode()


class Slow:
    """Keeps COUNT connections that drip; one that the proxy ends is made anew."""

    def __init__(self, port, kind, count, origin):
        self.port, self.count, self.hello = port, count, request_of(kind, origin)
        self.sockets = selectors.DefaultSelector()
        self.due = []  # (when, number, link)
        self.open, self.made, self.answered, self.broken, self.least = 0, 0, {}, 0, None

    def connect(self):
        link = socket.create_connection(("127.0.0.1", self.port), 10)
        link.setblocking(False)
        link.send(self.hello)
        self.sockets.register(link, selectors.EVENT_READ)
        self.made += 1
        self.open += 1
        heapq.heappush(self.due, (time.monotonic() + EVERY, self.made, link))

    def drip(self, now):
        while self.due and self.due[0][0] <= now:
            when, number, link = heapq.heappop(self.due)
            if link.fileno() < 0:
                continue
            try:
                link.send(b"x")
            except BlockingIOError:
                pass
            except OSError:
                continue  # its end is told by the selector
            heapq.heappush(self.due, (when + EVERY, number, link))

    def hear(self, wait):
        for key, _ in self.sockets.select(wait):
            link = key.fileobj
            try:
                said = link.recv(4096)
            except OSError:
                said = b""
            if said.startswith(b"HTTP/1.1 "):
                status = said[9:12].decode()
                self.answered[status] = self.answered.get(status, 0) + 1
            elif said:
                continue
            else:
                self.broken += 1
            self.sockets.unregister(link)
            link.close()
            self.open -= 1

    def run(self, seconds):
        end = None
        while end is None or time.monotonic() < end:
            for _ in range(min(OPENS_A_TURN, self.count - self.open)):
                self.connect()
            if self.open == self.count and end is None:
                print('"up"', flush=True)
                end = time.monotonic() + seconds
            self.drip(time.monotonic())
            self.hear(0.005)
            if end is not None:
                self.least = self.open if self.least is None else min(self.least, self.open)
        return {"made": self.made, "held_at_least": self.least, "answered": self.answered, "broken": self.broken}


def act_slow(port, kind, count, seconds, origin):
    return Slow(int(port), kind, int(count), origin).run(float(seconds))


def act_probe(port, seconds, origin):
    """Every other request over a new connection."""
    took, failed, link, end = [], [], None, time.monotonic() + float(seconds)
    while time.monotonic() < end:
        begin = time.monotonic()
        try:
            link = link or http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
            link.request("GET", f"http://{origin}/", headers={"Host": origin})
            answer = link.getresponse()
            body = answer.read()
            if answer.status != 200 or body != b"origin":
                failed.append(f"{answer.status} {body[:200]!r}")
        except (OSError, http.client.HTTPException) as problem:
            failed.append(f"{type(problem).__name__}: {problem}")
            link = None
        took.append((time.monotonic() - begin) * 1000)
        if link and len(took) % 2 == 0:
            link.close()
            link = None
        time.sleep(0.005)
    took.sort()
    return {"requests": len(took), "failed": len(failed), "failures": failed[:5],
            "p50_ms": round(took[len(took) // 2], 3), "p99_ms": round(took[int(len(took) * 0.99)], 3),
            "worst_ms": round(took[-1], 3)}


def act_origin(*ports):
    sockets = selectors.DefaultSelector()
    for port in map(int, ports):
        listening = socket.create_server(("127.0.0.1", port), backlog=4096)
        listening.setblocking(False)
        sockets.register(listening, selectors.EVENT_READ, None)
    print('"ready"', flush=True)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\norigin"
    while True:
        for key, _ in sockets.select():
            if key.data is None:
                link, _ = key.fileobj.accept()
                link.setblocking(False)
                sockets.register(link, selectors.EVENT_READ, {"got": b"", "body": False})
                continue
            state = key.data
            try:
                said = key.fileobj.recv(65536)
            except OSError:
                said = b""
            if not said:
                sockets.unregister(key.fileobj)
                key.fileobj.close()
            elif not state["body"]:  # a slow body never ends: nothing of it is kept
                state["got"] += said
                if b"\r\n\r\n" in state["got"]:
                    state["body"] = state["got"].startswith(b"POST")
                    state["got"] = b""
                    if not state["body"]:
                        key.fileobj.sendall(answer)


if __name__ == "__main__":
    ACTIONS = {"slow": act_slow, "probe": act_probe, "origin": act_origin}
    print(json.dumps(ACTIONS[sys.argv[1]](*sys.argv[2:])))
