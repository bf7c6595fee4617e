# SPDX-License-Identifier: AGPL-3.0-only
"""The workloads, and how one is measured: peers take turns, round by round, first forwards, then backwards."""

import json
import resource
import subprocess
import time

from accounting import cpu_diff, cpu_snap, cpu_ticks, kt_diff, kthreads
from instance import Inst, argv, find_bin, pfload
from load import h2load, idle, iperf, udp, udp_exchanges, wrk
from peers import PEERS
from place import NHOSTS, OP, OTLS, UCTL, UDP, log, options, run_directory

FWD = ("--host", "ok-%d.test", "--nhosts", NHOSTS, "--port", OP)
W = {}


def wl(name, cap, unit, ref, what, fn, **k):
    W[name] = dict(cap=cap, unit=unit, ref=ref, what=what, fn=fn, **k)


wl("bulk", "iperf", "MB", "route", "L4 TCP bulk, iperf3 2 streams", iperf)
wl("bulk_h1", "h1", "MB", "haproxy30", "HTTP reverse bulk, 1 MiB bodies, 8 conns",
   lambda i, d: wrk(i, "h1", d, 8, "/1m", per_op=1.048576))
wl("cps", "l4", "conn", "haproxy30", "L4 short connections: connect, 1 request (1 KiB answer), close; 16 at once",
   lambda i, d: pfload(i, "conn", "l4", d))
wl("cps_h1", "h1", "conn", "haproxy30",
   "HTTP reverse, new client connection per request (upstream may be pooled), 16 at once",
   lambda i, d: pfload(i, "conn", "h1", d))
wl("rr", "l4", "req", "haproxy30", "L4 request/response at 4000/s open loop, 16 conns",
   lambda i, d: pfload(i, "rr", "l4", d, "--rate", 4000, "--path", "/64"))
wl("rr_h1", "h1", "req", "haproxy30", "HTTP reverse request/response at 4000/s open loop, 16 conns",
   lambda i, d: pfload(i, "rr", "h1", d, "--rate", 4000, "--path", "/64"))
wl("h1", "h1", "req", "haproxy30", "HTTP/1.1 keep-alive reverse, wrk 32 conns, 1 KiB", lambda i, d: wrk(i, "h1", d))
for count, text in ((10, "10"), (10000, "10k"), (100000, "100k")):
    wl("get" + text, "fwd", "req", "squid6",
       f"forward GET (absolute URI, keep-alive, 16 conns), {count} deny-list domains, all misses",
       lambda i, d: pfload(i, "rr", "fwd", d, "--via", "absuri", *FWD), rules=count)
    wl("connect" + text, "connect", "tunnel", "squid6",
       f"CONNECT tunnel + 1 request + close, 16 at once, {count} deny-list domains, all misses",
       lambda i, d: pfload(i, "conn", "fwd", d, "--via", "connect", *FWD), rules=count)
wl("socks", "socks", "tunnel", "dante", "SOCKS5 connect + 1 request + close, 16 at once",
   lambda i, d: pfload(i, "conn", "socks", d, "--via", "socks5", "--host", i.net.sip, "--port", OP))
wl("udp", "udp", "pkt", "route", "UDP 32-byte one-way, 8 flows, credit-paced (lossless) packets/s", udp)
wl("udp_rr", "udp", "exchange", "route", "UDP question and answer, 64 bytes each, 64 flows", udp_exchanges)
wl("tls_hs", "tls", "handshake", "haproxy30", "full TLS 1.3 handshakes (P-256 cert) + 1 request + close, 16 at once",
   lambda i, d: pfload(i, "conn", "tls", d, "--tls"))
wl("tls_res", "tls", "handshake", "haproxy30", "resumed TLS 1.3 handshakes + 1 request + close, 16 at once",
   lambda i, d: pfload(i, "conn", "tls", d, "--tls", "--resume"))
wl("tls_req", "tls", "req", "haproxy30", "HTTPS/1.1 keep-alive, wrk 32 conns, 1 KiB",
   lambda i, d: wrk(i, "tls", d, tls=True))
wl("h2", "h2", "req", "haproxy30", "HTTP/2 over TLS, h2load 8 conns x 16 streams, 1 KiB", h2load)
wl("idle_l4", "l4", "conn", "haproxy30", "idle L4 connections: proxy memory (PSS) per connection", idle("idle", "l4"),
   once=True, mem=True)
wl("idle_h1", "h1", "conn", "haproxy30", "idle HTTP keep-alive connections after 1 request each: PSS per connection",
   idle("idlereq", "h1", "--path", "/64"), once=True, mem=True)
wl("idle_connect", "connect", "conn", "squid6", "idle CONNECT tunnels after 1 request each: PSS per tunnel",
   idle("idlereq", "fwd", "--via", "connect", "--path", "/64", *FWD), once=True, mem=True)


def has(peer, w):
    p, rules = PEERS[peer], W[w].get("rules")
    return W[w]["cap"] in p["caps"] and (not rules or ("acl" in p and rules <= p.get("max_rules", 1 << 30)))


def available(peer):
    p = PEERS[peer]
    if "kernel" in p or "inst" in p:
        return True
    return bool(find_bin(p["cmd"][0].replace("@tools@", options.tools), p.get("root")))


class Origin:
    def __init__(self, net):
        ip = "0.0.0.0" if net.name == "netns" else net.sip
        run = run_directory.path
        self.p = subprocess.Popen(argv(net, "server", [
            options.tools + "/pfserve", "--bind", ip, "--http", str(OP), "--tls", str(OTLS), "--cert", run + "/ec.crt",
            "--key", run + "/ec.key", "--udp", str(UDP), "--udpctl", str(UCTL)]))
        time.sleep(0.3)
        if self.p.poll() is not None:
            raise RuntimeError("origin failed to start")


def measure(net, origin, inst, w, rnd, dur):
    """@return the record of one run of workload @p w through @p inst"""
    spec = W[w]
    inst.enter()
    try:
        if not spec.get("once") and options.warm:
            try:
                spec["fn"](inst, options.warm)
            except RuntimeError:
                pass
        a, oa, k0 = cpu_snap(inst.pids()), cpu_snap([origin.p.pid]), kthreads()
        c0, s0 = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_ticks()
        r = spec["fn"](inst, dur)
        px, us, sy = cpu_diff(a, cpu_snap(inst.pids()))
        ox, kx = cpu_diff(oa, cpu_snap([origin.p.pid]))[0], kt_diff(k0, kthreads())
        c1, s1 = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_ticks()
    finally:
        inst.leave()
    cx = (c1.ru_utime + c1.ru_stime - c0.ru_utime - c0.ru_stime) * 1e6
    n = max(r["ops"], 1e-9)
    dt = [y - x for x, y in zip(s0, s1)]
    r.update(
        workload=w, peer=inst.name, round=rnd, unit=spec["unit"], mode=net.name, rules=inst.rules,
        cpu_proxy=px / n, cpu_path=(px + ox + cx) / n, cpu_kthr=kx / n, cpu_client=cx / n, cpu_origin=ox / n,
        sys_share=sy / max(1, us + sy), box_busy=round(1 - (dt[3] + dt[4]) / max(1, sum(dt)), 3),
        steal=round(dt[7] / max(1, sum(dt)), 3), start_s=round(inst.start_s, 2), rss0_kb=inst.rss0,
    )
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in r.items()}


def usable(net, p, w):
    """Whether peer @p p can run workload @p w here."""
    if not has(p, w) or not available(p):
        return False
    if "kernel" not in PEERS[p]:
        return True
    return not W[w].get("mem") and (net.name != "loop" or p == "direct")


def rounds_of(net, origin, w, insts, rounds, dur):
    """Yields a record for each run of workload @p w, of all started instances in turn."""
    for rnd in range(1 if W[w].get("once") else rounds):
        for i in insts if rnd % 2 == 0 else insts[::-1]:
            try:
                yield measure(net, origin, i, w, rnd, dur)
            except (RuntimeError, AttributeError, ValueError, KeyError, IndexError) as e:
                yield {"workload": w, "peer": i.name, "round": rnd, "failed": str(e)[:200]}


def run_workload(net, origin, w, peers, rounds, dur, out):
    insts, recs = [], []
    for p in peers:
        if usable(net, p, w):
            try:
                insts.append(PEERS[p].get("inst", Inst)(net, p, W[w].get("rules", 10)).start())
            except RuntimeError as e:
                log(f"  ! {p}: {str(e)[:240]}")
    try:
        for r in rounds_of(net, origin, w, insts, rounds, dur):
            recs.append(r)
            out(json.dumps(r))
    finally:
        for i in insts:
            i.halt()
    return recs
