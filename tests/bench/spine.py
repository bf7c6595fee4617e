#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""scripts/bench spine: what a change, a CONNECT and a join cost. One JSON object a line; exit 1 when a goal is missed.

Loopback only. Each line compares two things in alternating rounds of one run (A B B A A B ...): `ours` and `against`
are medians, `ratio` is ours / against, `goal` is the most it may be. The goals, and why they are what they are:

  change_in_force  A REST change until the answer says that it is in force on the proxy, against the same change in a
                   cluster without proxies: what prepare and commit over the bus add to what storage and signing cost
                   anyway. The proxy adds two round trips, a fetch, a compilation and a file that is synced, the
                   manager one more transaction: that may cost as much again, so three times is the most.
  connect_seconds  TCP, CONNECT and one echo through the proxy, against TCP and one echo without it. The proxy makes
                   two connections of one and reads and writes a request head: four times one is the most.
  connect_cpu      CPU seconds of the proxy process for 1000 CONNECTs, against the seconds that 1000 direct
                   connections take. The proxy shall not be what limits a client: three times is the most (the direct
                   time holds no second process, and connection, name check and verdict are real work).
  join             Start of the proxy program until it is on the bus and judges by a revision, against start of the
                   same program until --version is printed plus one second: a join is two connections, two
                   signatures and one fetch, and shall be done within a second.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
from suite import TRAFFIC, Failed, Suite, check, wait_until  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def alternate(rounds, ours, against):
    """Medians of both, taken turn about so that a slow spell of the machine hits both."""
    a, b = [], []
    for number in range(rounds):
        for what, out in ((ours, a), (against, b))[:: 1 if number % 2 == 0 else -1]:
            out.append(what())
    return statistics.median(a), statistics.median(b)


def line(name, ours, against, goal):
    ratio = ours / against
    print(json.dumps({"name": name, "ours": round(ours, 6), "against": round(against, 6), "ratio": round(ratio, 3),
                      "goal": goal, "ok": ratio <= goal}), flush=True)
    return ratio <= goal


def timed(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


class Spine:
    def __init__(self, suite, rounds):
        self.suite, self.rounds, self.number = suite, rounds, 0
        self.keys = {}
        self.mappings = {}

    def start(self):
        self.suite.start_manager()
        for cluster in ("with", "without"):
            base = f"/api/v1/clusters/{cluster}"
            self.keys[cluster] = self.suite.api.call("POST", "/api/v1/clusters", {"name": cluster})["data"]["api_key"]
            for name in ("clients", "origin"):
                self.suite.api.call("POST", f"{base}/services?wait=5", {"name": name, "address": "127.0.0.1"})
            self.mappings[cluster] = self.suite.api.call(
                "POST", f"{base}/mappings?wait=5",
                {"name": "all", "sources": ["clients"], "destinations": ["origin"], "protocols": ["tcp"],
                 "ports": "1-65535"})["data"]["id"]
        origin = self.suite.start("origin", [*TRAFFIC, "origin", "7001"], {})
        origin.ready('"ready"')
        self.egress = self.join("egress-1")

    def join(self, name):
        egress = self.suite.start_egress(self.keys["with"], name, {"ENABLE_EBPF": "false"}, port=0)

        def ready():
            state = self.suite.health(egress)
            return state and state["revision"] and state["dependencies"]["bus"]["status"] == "ok"

        wait_until(ready, 20, f"{name} judges by a revision")
        return egress

    def change(self, cluster):
        self.number += 1
        path = f"/api/v1/clusters/{cluster}/mappings/{self.mappings[cluster]}?wait=10"
        done = self.suite.api.call("PATCH", path, {"comment": f"change {self.number}"})["revision"]
        check(done["state"] == "in_force", done)
        check(done["proxies"]["applied"] == (1 if cluster == "with" else 0), done)

    @staticmethod
    def echo(link):
        link.sendall(b"x")
        check(link.recv(16) == b"x", "the echo")

    def direct(self):
        with socket.create_connection(("127.0.0.1", 7001), 5) as link:
            self.echo(link)

    def through(self):
        with socket.create_connection(("127.0.0.1", self.egress.proxy_port), 5) as link:
            link.sendall(b"CONNECT 127.0.0.1:7001 HTTP/1.1\r\nHost: 127.0.0.1:7001\r\n\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer:
                part = link.recv(4096)
                check(part, f"the proxy closed: {answer!r}")
                answer += part
            check(answer.startswith(b"HTTP/1.1 200"), answer)
            self.echo(link)

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.egress.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def connects(self):
        count, used = 1000, []

        def many():
            before = self.cpu()
            took = timed(lambda: [self.through() for _ in range(count)])
            used.append(self.cpu() - before)
            return took

        ours, against = alternate(self.rounds, many, lambda: timed(lambda: [self.direct() for _ in range(count)]))
        return line("connect_seconds", ours / count, against / count, 4.0) & line(
            "connect_cpu_1000", statistics.median(used), against, 3.0)

    def joins(self):
        program = str(self.suite.build / "nodes/egress/marchproxy-egress")

        def one():
            self.number += 1
            begin = time.perf_counter()
            egress = self.join(f"joiner-{self.number}")
            took = time.perf_counter() - begin
            egress.kill(15)
            return took

        ours, against = alternate(
            self.rounds, one, lambda: timed(lambda: subprocess.run([program, "--version"], capture_output=True, check=True)))
        return line("join_seconds", ours, against + 1.0, 1.0)

    def run(self):
        self.start()
        self.change("with")
        changes = alternate(3 * self.rounds, lambda: timed(lambda: self.change("with")),
                            lambda: timed(lambda: self.change("without")))
        return line("change_in_force", *changes, 3.0) & self.connects() & self.joins()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / os.environ.get("PRESET", "release"))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    suite = Suite(arguments.build.resolve(), networks=False)
    try:
        return 0 if Spine(suite, arguments.rounds).run() else 1
    except (Failed, OSError) as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        return 1
    finally:
        suite.close()


if __name__ == "__main__":
    sys.exit(main())
