# SPDX-License-Identifier: AGPL-3.0-only
"""What makes load: pfload (instance.py), wrk, h2load and iperf3, each until it says how much it did."""

import json
import os
import re
import subprocess
import time

from accounting import cpu_diff, cpu_snap, pss_kb
from instance import argv, client, stop, unpacked
from place import IPERF, UCTL, options

MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6}


def microseconds(s):
    m = re.match(r"([\d.]+)(us|ms|s)", s)
    return float(m.group(1)) * MICROSECONDS[m.group(2)]


def wrk(inst, cap, dur, conns=32, path="/1k", tls=False, per_op=1.0):
    ip, port = inst.addr(cap)
    url = f"http{'s' if tls else ''}://{ip}:{port}{path}"
    o, _ = client(inst.net, ["wrk", "-t1", f"-c{conns}", f"-d{max(1, round(dur))}s", "--latency", url], dur + 15)
    n, d = re.search(r"(\d+) requests in ([\d.]+)s", o).groups()
    err = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", o)))
    m = re.search(r"Non-2xx or 3xx responses: (\d+)", o)
    err += int(m.group(1)) if m else 0
    r = {"ops": int(n) * per_op, "errors": err, "dur": float(d), "rate": int(n) * per_op / float(d)}
    for k, l in (("50%", "p50"), ("90%", "p90"), ("99%", "p99")):
        m = re.search(re.escape(k) + r"\s+([\d.]+(?:us|ms|s))", o)
        r[l] = microseconds(m.group(1)) if m else None
    return r


def h2load(inst, dur, conns=8, streams=16):
    ip, port = inst.addr("tls")
    o, _ = client(inst.net, ["h2load", "-t1", f"-c{conns}", f"-m{streams}", "-D", str(max(1, round(dur))),
                             "--warm-up-time=0", f"https://{ip}:{port}/1k"], dur + 20)
    m = re.search(r"finished in ([\d.]+)s, ([\d.]+) req/s", o)
    q = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", o)
    p = re.search(r"Application protocol: (\S+)", o)
    ok, bad, er = map(int, q.groups())
    d = float(m.group(1))
    if not p or p.group(1) != "h2":
        raise RuntimeError("no h2: " + (p.group(1) if p else o[-200:]))
    if ok == 0:
        raise RuntimeError("h2: nothing succeeded")
    return {"ops": ok, "errors": bad + er, "dur": d, "rate": ok / d}


def iperf(inst, dur, par=2):
    ip, port = inst.addr("iperf")
    net = inst.net
    server, env = unpacked(["iperf3", "-s", "-1", "-p", str(IPERF)])
    s = subprocess.Popen(argv(net, "server", server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env={**os.environ, **env})
    try:
        time.sleep(0.15)
        o, _ = client(net, ["iperf3", "-c", ip, "-p", str(port), "-t", str(max(1, round(dur))), "-P", str(par), "-J"],
                      dur + 15)
        s.wait(5)
    finally:
        stop(s)
    e = json.loads(o)["end"]
    b, d = e["sum_received"]["bytes"], e["sum_received"]["seconds"]
    return {"ops": b / 1e6, "errors": 0, "dur": d, "rate": b / 1e6 / d, "gbps": b * 8 / d / 1e9}


def udp(inst, dur):
    # A window that a socket's default receive buffer holds: who drops nothing is measured.
    ip, port = inst.addr("udp")
    o, _ = client(inst.net, [options.tools + "/pfload", "udp", "--target", f"{ip}:{port}", "--ctl",
                             f"{inst.net.dip}:{UCTL}", "--dur", str(dur), "--size", "32", "--flows", "8",
                             "--window", "256"], dur + 10)
    return json.loads(o)


def udp_exchanges(inst, dur):
    ip, port = inst.addr("udp")
    o, _ = client(inst.net, [options.tools + "/pfload", "udprr", "--target", f"{ip}:{port}", "--dur", str(dur),
                             "--size", "64", "--flows", "64"], dur + 10)
    return json.loads(o)


def idle(mode, cap, *x):
    """Connections that are held and do nothing: memory of the proxy before and with them."""

    def hold(inst, _dur):
        ip, port = inst.addr(cap)
        p0 = pss_kb(inst.pids())
        command = [options.tools + "/pfload", mode, "--target", f"{ip}:{port}", "--conns", str(options.idle)]
        c = subprocess.Popen(argv(inst.net, "client", command + list(map(str, x))), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        try:
            d = json.loads(c.stdout.readline())
            time.sleep(0.8)
            p1 = pss_kb(inst.pids())
            a = cpu_snap(inst.pids())
            time.sleep(1)
            cpu = cpu_diff(a, cpu_snap(inst.pids()))[0]
        finally:
            c.stdin.close()
            c.wait(10)
        return {
            "ops": d["ops"], "errors": d["errors"], "dur": d["dur"], "rate": d["ops"] / max(d["dur"], 0.001),
            "kib_per_conn": (p1 - p0) / max(1, d["ops"]), "pss_before_kb": p0, "pss_after_kb": p1,
            "idle_cpu_us_per_s": cpu,
        }

    return hold
