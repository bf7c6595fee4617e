#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""scripts/bench tiers: what the packet programs cost against the kernel's own ways. One JSON object a line; exit 1 when a
goal is missed.

Client, proxy and origin are network namespaces of this run's own, joined by veth; load and origin have one processor,
the proxy another. `ours` and `against` are medians over the rounds of CPU microseconds per unit (connection, packet,
megabyte) of the whole path: client, proxy, origin, and the kernel's own threads, since on veth whoever sends pays for
most of the way. `ratio` is the median of the ratios of each round, in which peers take turns; `goal` is the most it may
be. `added_...` is what the tc program adds to a straight wire, over what HAProxy adds to it.

The programs forward by themselves (EBPF_FORWARDING=direct). `route` is plain forwarding; `nft_dnat` is nftables with destination NAT, which the programs do not do yet. XDP runs
natively, with transmit checksum offload off and GRO on at both ends, which veth needs; those it is compared with keep
their offloads.
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
from ours import Deployment  # noqa: E402
from place import IPERF, OP, UDP, log, options, sh  # noqa: E402
from report import by_peer, med, paired, path_total, table  # noqa: E402
from suite import Failed, Suite  # noqa: E402
from workloads import rounds_of  # noqa: E402

CAPS = {"l4", "iperf", "udp"}
# name, workload, ours, peer, goal
GOALS = (
    ("tc_connections_route", "cps", "tc", "route", 1.05),
    ("tc_connections_nft", "cps", "tc", "nft_dnat", 0.95),
    ("tc_bulk_route", "bulk", "tc", "route", 0.95),
    ("tc_udp_route", "udp", "tc", "route", 1.0),
    ("tc_udp_nft", "udp", "tc", "nft_dnat", 0.7),
    ("xdp_udp_route", "udp", "xdp", "route", 0.4),
    ("xdp_udp_nft", "udp", "xdp", "nft_dnat", 0.25),
)
ADDED = ("added_connections_haproxy30", "cps", "tc", "haproxy30", 0.2)
WORKLOADS = {"cps": ("tc", "route", "nft_dnat", "haproxy30", "direct"), "bulk": ("tc", "route"),
             "udp": ("tc", "xdp", "route", "nft_dnat")}


def line(name, ours, against, ratio, goal):
    ok = ratio is not None and ratio <= goal
    print(json.dumps({"name": name, "ours": ours and round(ours, 3), "against": against and round(against, 3),
                      "ratio": ratio and round(ratio, 3), "goal": goal, "ok": ok}), flush=True)
    return ok


class Packets(Inst):
    """The egress proxy of a Deployment that judges what it routes: there around its own run only."""

    def __init__(self, net, name, deployment):
        peers.add(name, {"caps": CAPS, "kernel": {"up": [], "down": [], "ip": "sip", "same_port": True}})
        super().__init__(net, name)
        self.deployment = deployment
        self.xdp = name == "xdp"

    def ends(self, transmit, receive):
        for role, link in (("client", "c0"), ("server", "s0")):
            sh([*self.net.wrap(role), "ethtool", "-K", link, "tx", transmit, "gro", receive])

    def enter(self):
        if self.xdp:
            self.ends("off", "on")
        environment = {"ENABLE_EBPF": "true", "ENABLE_XDP": str(self.xdp).lower(), "EBPF_INTERFACES": "p0,p1",
                       "EBPF_FORWARDING": "direct",
                       **self.deployment.environment("epoll")}
        started = self.deployment.suite.start_egress(self.deployment.keys["packets"], self.name, environment, 0)
        self.deployment.judging(started, "packets")
        self.process, self.proc = started, started.child

    def leave(self):
        if self.proc:
            self.process.stop()
        self.proc = None
        if self.xdp:
            self.ends("on", "off")


def add_cluster(deployment):
    made = deployment.suite.api.call("POST", "/api/v1/clusters", {"name": "packets"})
    deployment.keys["packets"] = made["data"]["api_key"]
    deployment.post("packets", "services", {"name": "clients", "address": deployment.net.cip + "/32"})
    deployment.post("packets", "services", {"name": "origin", "address": deployment.net.sip})
    deployment.post("packets", "mappings", {"sources": ["clients"], "destinations": ["origin"], "allow_private": True,
                                            "protocols": ["tcp", "udp"], "ports": f"{OP},{IPERF},{UDP}"})


def run(net, origin, suite, args):
    deployment = Deployment(suite, net)
    add_cluster(deployment)
    wanted = [g for g in (*GOALS, ADDED) if not args.only or g[0] in args.only.split(",")]
    ok = True
    for workload, names in WORKLOADS.items():
        goals = [g for g in wanted if g[1] == workload]
        if not goals:
            continue
        started = []
        try:
            for name in names:
                try:
                    started.append((Packets(net, name, deployment) if name in ("tc", "xdp") else Inst(net, name)).start())
                except RuntimeError as problem:
                    log(f"{name}: {problem}")
            records = list(rounds_of(net, origin, workload, started, args.rounds, args.dur))
        finally:
            for one in started:
                one.halt()
        log("\n" + table(workload, records, "route"))
        by = by_peer(records, workload)
        for record in records:
            if record.get("failed") or record.get("errors"):
                log(f"{record['peer']}: {record.get('failed') or record['errors']}")
        for name, _, ours, peer, goal in goals:
            ok &= added(name, by, ours, peer, goal) if name == ADDED[0] else compare(name, by, ours, peer, goal)
    return ok


def compare(name, by, ours, peer, goal):
    if ours not in by or peer not in by:
        return line(name, None, None, None, goal)
    a, b = (med([path_total(r) for r in by[who].values()]) for who in (ours, peer))
    return line(name, a, b, paired(by, ours, peer, path_total), goal)


def added(name, by, ours, peer, goal):
    """What each adds to the wire; of the same rounds."""
    rounds = set.intersection(*(set(by.get(who, {})) for who in (ours, peer, "direct")))
    if not rounds:
        return line(name, None, None, None, goal)
    a, b = ([path_total(by[who][k]) - path_total(by["direct"][k]) for k in rounds] for who in (ours, peer))
    return line(name, med(a), med(b), med([x / y for x, y in zip(a, b)]), goal)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / os.environ.get("PRESET", "release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dur", type=float, default=2.0, help="seconds of each measurement")
    parser.add_argument("--only", default="", help="names of lines, by commas")
    args = parser.parse_args()
    build = args.build.resolve()
    options.tools = str(build / "tests/bench/harness")
    suite = Suite(build)
    try:
        net = Netns()
        with stage(net) as origin:
            log(f"load average {os.getloadavg()}")
            ok = run(net, origin, suite, args)
            log(f"load average {os.getloadavg()}")
        return 0 if ok else 1
    except (Failed, OSError, RuntimeError) as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        return 1
    finally:
        suite.close()


if __name__ == "__main__":
    sys.exit(main())
