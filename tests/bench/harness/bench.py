#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Measures proxies against each other by alternating runs; see README.md.

  bench.py list                          peers (found or not) and workloads
  bench.py run -w h1 -p haproxy30,nginx126 --ref haproxy30 [--rounds 5] [--dur 2] [--mode netns|loop]
  bench.py suite [-w a,b] [-p ...]       many workloads, every peer that is there and has the capability
  bench.py report results.jsonl [--ref X] [-w ...]

Every run is one JSON line on stdout (and in --out); tables go to stderr (and --tables FILE).
"""

import argparse
import contextlib
import json
import time

from instance import stop
from networks import Loop, Netns
from peers import PEERS
from place import log, options, run_directory
from report import table
from workloads import Origin, W, available, run_workload


@contextlib.contextmanager
def stage(net):
    """The networks with an origin in them, for as long as the block lasts."""
    run_directory.make()
    origin = None
    try:
        net.up()
        origin = Origin(net)
        yield origin
    finally:
        if origin:
            stop(origin.p)
        net.down()
        run_directory.remove()


def parse():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("cmd", choices=["list", "run", "suite", "report"])
    ap.add_argument("file", nargs="?")
    ap.add_argument("-w", default="")
    ap.add_argument("-p", default="")
    ap.add_argument("--ref")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--dur", type=float, default=2)
    ap.add_argument("--warm", type=float, default=options.warm)
    ap.add_argument("--mode", choices=["netns", "loop"], default="netns")
    ap.add_argument("--no-pin", action="store_true")
    ap.add_argument("--cpu-proxy", default=options.cpu_proxy)
    ap.add_argument("--cpu-load", default=options.cpu_load)
    ap.add_argument("--idle", type=int, default=options.idle)
    ap.add_argument("--tools", default=options.tools, help="where pfload, pfserve and pfrelay were built")
    ap.add_argument("--out")
    ap.add_argument("--tables")
    return ap.parse_args()


def list_all():
    for p in PEERS:
        print(f"{p:14s} {'yes' if available(p) else 'MISSING':8s} {' '.join(sorted(PEERS[p]['caps']))}")
    for w in W:
        print(f"{w:14s} needs {W[w]['cap']:8s} ref {W[w]['ref']:10s} {W[w]['what']}")


def report(args):
    with open(args.file) as f:
        recs = [json.loads(line) for line in f]
    for w in args.w.split(",") if args.w else [w for w in W if any(r["workload"] == w for r in recs)]:
        print(table(w, recs, args.ref))


def append(path, text):
    if path:
        with open(path, "a") as f:
            f.write(text + "\n")


def run(args):
    ws = args.w.split(",") if args.w else list(W) if args.cmd == "suite" else ["h1"]
    ps = args.p.split(",") if args.p else list(PEERS)
    net = Netns() if args.mode == "netns" else Loop()

    def out(line):
        print(line, flush=True)
        append(args.out, line)

    with stage(net) as origin:
        for w in ws:
            t = time.time()
            tb = table(w, run_workload(net, origin, w, ps, args.rounds, args.dur, out), args.ref)
            log("\n" + tb + f"({time.time() - t:.0f} s)")
            append(args.tables, tb)


def main():
    args = parse()
    options.pin, options.cpu_proxy, options.cpu_load = not args.no_pin, args.cpu_proxy, args.cpu_load
    options.idle, options.warm, options.tools = args.idle, args.warm, args.tools
    if args.cmd == "list":
        list_all()
    elif args.cmd == "report":
        report(args)
    else:
        run(args)


if __name__ == "__main__":
    main()
