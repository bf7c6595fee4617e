# SPDX-License-Identifier: AGPL-3.0-only
"""Clients that stay, and what they talk to, as programs of their own. Each runs until SIGTERM and then prints one JSON value.

  keep.py tunnels PROXY_PORT COUNT TARGET   COUNT tunnels by CONNECT, an echo through each every second
  keep.py requests PORT COUNT URL           COUNT clients on kept connections, one request after the other
  keep.py datagrams PORT COUNT              COUNT clients over UDP, one question after the other
  keep.py echo PORT                         sends back what it hears, over TCP and UDP

All on 127.0.0.1.
"""

import http.client
import json
import selectors
import signal
import socket
import sys
import threading
import time

EVERY = 1.0      # seconds between two echoes of a tunnel
PATIENCE = 10.0  # for an echo
PAUSE = 0.002    # between two requests of a client
over = threading.Event()


class Tunnels:
    """Tunnels in one thread. One that ends, or does not echo in time, is cut."""

    def __init__(self, port, count, target):
        self.sockets = selectors.DefaultSelector()
        self.cut, self.echoes = [], 0
        self.due = {link: 0.0 for link in (self.open(port, target) for _ in range(count))}
        self.waits = {}  # link: until when, and what for

    def open(self, port, target):
        link = socket.create_connection(("127.0.0.1", port), 30)
        link.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        said = b""
        while b"\r\n\r\n" not in said:
            more = link.recv(4096)
            if not more:
                raise SystemExit(f"no tunnel: {said!r}")
            said += more
        if not said.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"no tunnel: {said!r}")
        link.setblocking(False)
        self.sockets.register(link, selectors.EVENT_READ)
        return link

    def drop(self, link, why):
        self.cut.append(why)
        self.sockets.unregister(link)
        self.due.pop(link, None)
        self.waits.pop(link, None)
        link.close()

    def ask(self, now):
        for link in [x for x, when in self.due.items() if when <= now]:
            token = f"{now:.6f}".encode()
            try:
                link.send(token)
            except OSError as problem:
                self.drop(link, str(problem))
                continue
            del self.due[link]
            self.waits[link] = (now + PATIENCE, token)

    def hear(self):
        for key, _ in self.sockets.select(0.01):
            link = key.fileobj
            try:
                said = link.recv(4096)
            except OSError as problem:
                self.drop(link, str(problem))
                continue
            if not said or link not in self.waits or said != self.waits[link][1]:
                self.drop(link, f"said {said!r}")
                continue
            del self.waits[link]
            self.echoes += 1
            self.due[link] = time.monotonic() + EVERY

    def run(self):
        print('"up"', flush=True)
        while not over.is_set():
            now = time.monotonic()
            self.ask(now)
            self.hear()
            for link in [x for x, (until, _) in self.waits.items() if until < now]:
                self.drop(link, "no echo")
        held = len(self.due) + len(self.waits)
        return {"held": held, "cut": len(self.cut), "why": self.cut[:5], "echoes": self.echoes}


def run_all(threads):
    for one in threads:
        one.start()
    print('"up"', flush=True)
    for one in threads:
        one.join()


def act_tunnels(port, count, target):
    return Tunnels(int(port), int(count), target).run()


def act_requests(port, count, url):
    totals = {"requests": 0, "failed": 0, "connections": 0, "why": []}
    lock = threading.Lock()

    def client():
        link = None
        while not over.is_set():
            try:
                if link is None:
                    link = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
                    link.connect()
                    with lock:
                        totals["connections"] += 1
                link.request("GET", url, headers={"Host": url.split("/")[2]})
                answer = link.getresponse()
                body = answer.read()
                why = None if answer.status == 200 and body == b"origin" else f"{answer.status} {body[:200]!r}"
                if answer.will_close:
                    link.close()
                    link = None
            except (OSError, http.client.HTTPException) as problem:
                why, link = f"{type(problem).__name__}: {problem}", None
            with lock:
                totals["requests"] += 1
                if why:
                    totals["failed"] += 1
                    totals["why"] = [*totals["why"], why][:5]
            over.wait(PAUSE)

    threads = [threading.Thread(target=client) for _ in range(int(count))]
    run_all(threads)
    return totals


def act_datagrams(port, count):
    """An answer that does not come in time is lost, and so is its question."""
    totals = {"asked": 0, "lost": 0}
    lock = threading.Lock()

    def client(number):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(PATIENCE)
            link.connect(("127.0.0.1", int(port)))
            asked = lost = 0
            while not over.is_set():
                question = f"{number} {asked}".encode()
                asked += 1
                try:
                    link.send(question)
                    lost += link.recv(64) != question
                except OSError:
                    lost += 1
                over.wait(PAUSE)
        with lock:
            totals["asked"] += asked
            totals["lost"] += lost

    threads = [threading.Thread(target=client, args=(number,)) for number in range(int(count))]
    run_all(threads)
    return totals


def act_echo(port):
    sockets = selectors.DefaultSelector()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", int(port)))
    sockets.register(datagrams, selectors.EVENT_READ)
    listening = socket.create_server(("127.0.0.1", int(port)), backlog=1024)
    listening.setblocking(False)
    sockets.register(listening, selectors.EVENT_READ)
    print('"up"', flush=True)
    while not over.is_set():
        for key, _ in sockets.select(0.1):
            if key.fileobj is datagrams:
                datagrams.sendto(*datagrams.recvfrom(2048))
                continue
            if key.fileobj is listening:
                link, _ = listening.accept()
                sockets.register(link, selectors.EVENT_READ)
                continue
            try:
                said = key.fileobj.recv(4096)
                if said:
                    key.fileobj.sendall(said)
            except OSError:
                said = b""
            if not said:
                sockets.unregister(key.fileobj)
                key.fileobj.close()
    return None


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    ACTIONS = {"tunnels": act_tunnels, "requests": act_requests, "datagrams": act_datagrams, "echo": act_echo}
    print(json.dumps(ACTIONS[sys.argv[1]](*sys.argv[2:])))
