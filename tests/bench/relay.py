#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""scripts/bench relay: what our proxies cost against others. One JSON object a line; exit 1 when a goal is missed.

Everybody runs in namespaces of this run's own, with one worker on one processor, load and origin on another. `ours`
and `against` are medians over the rounds of CPU microseconds of the proxy's process per unit (connection, request,
tunnel, megabyte); `ratio` is the median of the ratios of each round, in which peers take turns (A B B A A B ...), so a
slow spell of the machine hits both; `goal` is the most it may be. `idle_...` is KiB of our memory
for one connection, against the goal.
A peer that could not be measured is a goal missed.
"""

import argparse
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE / "harness"), str(ROOT / "tests/support")]
import peers  # noqa: E402
from bench import stage  # noqa: E402
from instance import Inst  # noqa: E402
from networks import Netns  # noqa: E402
from ours import Deployment, Egress, Ingress  # noqa: E402
from place import log, options  # noqa: E402
from report import by_peer, med, paired, table  # noqa: E402
from suite import Failed, Suite  # noqa: E402
from workloads import W, rounds_of  # noqa: E402

# name, workload, peer, goal; reverse HTTP and TLS are the ingress proxy's, all else the egress proxy's
GOALS = (
    ("l4_connections_haproxy30", "cps", "haproxy30", 0.9),
    ("l4_bulk_haproxy30", "bulk", "haproxy30", 0.9),
    ("udp_nginx126", "udp", "nginx126", 0.8),
    ("udp_exchanges_nginx126", "udp_rr", "nginx126", 0.8),
    ("connect_ats9", "connect10", "ats9", 0.85),
    ("connect_squid6", "connect10", "squid6", 0.45),
    ("socks5_microsocks", "socks", "microsocks", 0.5),
    ("forward_get_ats9", "get10", "ats9", 0.7),
    ("http_requests_haproxy30", "h1", "haproxy30", 0.85),
    ("http_requests_nginx126", "h1", "nginx126", 0.85),
    ("http_connections_haproxy30", "cps_h1", "haproxy30", 0.9),
    ("http_connections_nginx126", "cps_h1", "nginx126", 0.9),
    ("http_bulk_haproxy30", "bulk_h1", "haproxy30", 0.75),
    ("http_bulk_nginx126", "bulk_h1", "nginx126", 0.75),
    ("tls_handshakes_haproxy26", "tls_hs", "haproxy26", 0.9),
    ("tls_handshakes_haproxy30", "tls_hs", "haproxy30", 0.9),
    ("tls_handshakes_nginx122", "tls_hs", "nginx122", 0.9),
    ("tls_handshakes_nginx126", "tls_hs", "nginx126", 0.9),
    ("tls_resumed_haproxy26", "tls_res", "haproxy26", 0.9),
    ("tls_resumed_haproxy30", "tls_res", "haproxy30", 0.9),
    ("tls_resumed_nginx122", "tls_res", "nginx122", 0.9),
    ("tls_resumed_nginx126", "tls_res", "nginx126", 0.9),
)
RING_GOAL = 1.05
MANY = 100_000
RULES_GOAL = 1.05
# What io_uring costs over epoll: name, workload.
RINGS = (
    ("ring_http_requests", "h1"), ("ring_http_connections", "cps_h1"), ("ring_http_bulk", "bulk_h1"),
    ("ring_l4_connections", "cps"), ("ring_l4_bulk", "bulk"), ("ring_connect", "connect10"), ("ring_socks5", "socks"),
)
# name, workload, KiB of our memory
IDLE = (("idle_tunnel", "idle_connect", 1.0), ("idle_http", "idle_h1", 0.7))


def proxy_cpu(r):
    return r["cpu_proxy"]


def spoiled(workload, r):
    """@return why a record is worth nothing: a proxy that turns work away, or does less of it, is not a cheap one"""
    if r["errors"]:
        return f"{r['errors']} errors"
    # The first of each of the 16 connections at once have no session yet.
    wanted = {"tls_hs": (0, 0), "tls_res": (r["ops"] - 32, float("inf"))}.get(workload)
    if wanted and not wanted[0] <= r["resumed"] <= wanted[1]:
        return f"{r['resumed']} of {r['ops']} handshakes were resumed"
    return None


def line(name, ours, against, ratio, goal):
    ok = ratio is not None and ratio <= goal
    print(json.dumps({"name": name, "ours": ours and round(ours, 3), "against": against and round(against, 3),
                      "ratio": ratio and round(ratio, 3), "goal": goal, "ok": ok}), flush=True)
    return ok


class Relay:
    def __init__(self, suite, net, origin, args):
        self.net, self.origin, self.args = net, origin, args
        self.deployment = Deployment(suite, net)
        peers.add("ours", {"caps": Egress.CAPS})
        peers.add("ours-many", {"caps": Egress.CAPS})
        peers.add("ours-ingress", {"caps": Ingress.CAPS})
        self.ours = Egress(net, "ours", 10, self.deployment).start()
        self.ingress = Ingress(net, "ours-ingress", 0, self.deployment).start()

    def serving(self, workload):
        return self.ingress if W[workload]["cap"] in Ingress.CAPS else self.ours

    def wanted(self, name):
        return not self.args.only or name in self.args.only.split(",")

    def run(self, workload, insts):
        recs = list(rounds_of(self.net, self.origin, workload, insts, self.args.rounds, self.args.dur))
        log("\n" + table(workload, recs, insts[-1].name))
        if self.args.out:
            with open(self.args.out, "a") as f:
                f.writelines(json.dumps(r) + "\n" for r in recs)
        return by_peer(recs, workload)

    def compare(self, name, by, peer, goal, ours="ours"):
        records = [(who, r) for who in (ours, peer) for r in by.get(who, {}).values()]
        for who, r in records:
            if problem := spoiled(r["workload"], r):
                log(f"{name}: {who}: {problem}")
                return line(name, None, None, None, goal)
        if len(terms := {r.get("tls") for _, r in records}) > 1:
            log(f"{name}: not under the same terms: {terms}")
            return line(name, None, None, None, goal)
        if ours not in by or peer not in by:
            return line(name, None, None, None, goal)
        a, b = (med([proxy_cpu(r) for r in by[who].values()]) for who in (ours, peer))
        return line(name, a, b, paired(by, ours, peer, proxy_cpu), goal)

    def against_peers(self):
        ok = True
        for workload in dict.fromkeys(g[1] for g in GOALS):
            goals = [g for g in GOALS if g[1] == workload and self.wanted(g[0])]
            started = [self.serving(workload)]
            try:
                for _, _, peer, _ in goals:
                    try:
                        started.append(Inst(self.net, peer).start())
                    except RuntimeError as problem:
                        log(f"{peer}: {problem}")
                by = self.run(workload, started) if goals else {}
            finally:
                for inst in started[1:]:
                    inst.halt()
            for name, _, peer, goal in goals:
                ok &= self.compare(name, by, peer, goal, started[0].name)
        return ok

    def rules(self):
        name = "connect_100000_rules"
        if not self.wanted(name):
            return True
        many = Egress(self.net, "ours-many", MANY, self.deployment).start()
        try:
            by = self.run("connect10", [many, self.ours])
        finally:
            many.halt()
        return self.compare(name, by, "ours", RULES_GOAL, "ours-many")

    def rings(self):
        wanted = [r for r in RINGS if self.wanted(r[0])]
        if not wanted:
            return True
        ok = True
        for kind, name, ours in ((Egress, "ring", self.ours), (Ingress, "ring-ingress", self.ingress)):
            peers.add(name, {"caps": kind.CAPS})
            other = kind(self.net, name, ours.rules, self.deployment, io="io_uring").start()
            try:
                for line_name, workload in wanted:
                    if self.serving(workload) is ours:
                        ok &= self.compare(line_name, self.run(workload, [other, ours]), ours.name, RING_GOAL, name)
            finally:
                other.halt()
        return ok

    def idle(self):
        ok = True
        for name, workload, kib in IDLE:
            if not self.wanted(name):
                continue
            ours = self.serving(workload)
            r = self.run(workload, [ours]).get(ours.name, {}).get(0)
            if not r or r["errors"]:
                log(f"{name}: {r}")
                ok &= line(name, None, kib, None, 1.0)
            else:
                ok &= line(name, r["kib_per_conn"], kib, r["kib_per_conn"] / kib, 1.0)
        return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / os.environ.get("PRESET", "release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dur", type=float, default=2.0, help="seconds of each measurement")
    parser.add_argument("--only", default="", help="names of lines, by commas")
    parser.add_argument("--out", help="appends the records of all measurements")
    args = parser.parse_args()
    build = args.build.resolve()
    options.tools = str(build / "tests/bench/harness")
    suite = Suite(build)
    try:
        net = Netns()
        with stage(net) as origin:
            log(f"load average {os.getloadavg()}")
            relay = Relay(suite, net, origin, args)
            # Memory first: later, freed blocks of the workloads before would serve.
            ok = relay.idle()
            ok &= relay.against_peers()
            ok &= relay.rules()
            ok &= relay.rings()
            log(f"load average {os.getloadavg()}")
        return 0 if ok else 1
    except (Failed, OSError, RuntimeError) as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        return 1
    finally:
        suite.close()


if __name__ == "__main__":
    sys.exit(main())
