# SPDX-License-Identifier: AGPL-3.0-only
"""CPU time and memory of processes, as the kernel counts them."""

import os
import re
import time


def tree(pid):
    kids, out = {}, []
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                s = open(f"/proc/{d}/stat").read()
                kids.setdefault(int(s[s.rindex(")") + 2 :].split()[1]), []).append(int(d))
            except OSError:
                pass
    st = [pid]
    while st:
        p = st.pop()
        out.append(p)
        st += kids.get(p, [])
    return out


def cpu_snap(pids):
    """pid -> (process CPU clock in ns incl. finished threads, user ticks, system ticks); plus reaped children's ticks"""
    o = {}
    for p in pids:
        try:
            s = open(f"/proc/{p}/stat").read()
            f = s[s.rindex(")") + 2 :].split()
            o[p] = (time.clock_gettime_ns((~p << 3) | 2), int(f[11]), int(f[12]), int(f[13]) + int(f[14]))
        except OSError:
            pass
    return o


def cpu_diff(a, b):
    ns = us = sy = 0
    for p, v in b.items():
        z = a.get(p, (0, 0, 0, 0))
        ns += v[0] - z[0] + (v[3] - z[3]) * 10_000_000
        us += v[1] - z[1]
        sy += v[2] - z[2]
    return ns / 1000.0, us, sy


def kthreads():
    """CPU of ksoftirqd + kworkers, ns (deferred network work that is charged to nobody else)"""
    tot = {}
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                c = open(f"/proc/{d}/comm").read()
                if c.startswith(("ksoftirqd", "kworker", "napi/")):
                    tot[d] = int(open(f"/proc/{d}/schedstat").read().split()[0])
            except OSError:
                pass
    return tot


def kt_diff(a, b):
    return sum(v - a.get(k, 0) for k, v in b.items()) / 1000.0


def pss_kb(pids):
    t = 0
    for p in pids:
        try:
            t += int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{p}/smaps_rollup").read(), re.M).group(1))
        except (OSError, AttributeError):
            pass
    return t


def cpu_ticks():
    f = open("/proc/stat").readline().split()[1:]
    return [int(x) for x in f]
