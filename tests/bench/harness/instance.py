# SPDX-License-Identifier: AGPL-3.0-only
"""Peers as processes, and the load generator's client side."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

from accounting import pss_kb, tree
from peers import PEERS
from place import CAPS, IPERF, NHOSTS, NOFILE, OP, OTLS, ROOT, ROOT13, SAME, UDP, options, run_directory, sh

LIBRARIES = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/trafficserver", "/usr/lib/x86_64-linux-gnu/varnish", "/usr/lib"]


def pin(role):
    cpu = {"proxy": options.cpu_proxy, "client": options.cpu_load, "server": options.cpu_load}[role]
    return ["taskset", "-c", cpu] if options.pin else []


def argv(net, role, cmd, hosts=None):
    w = net.wrap(role)
    if hosts:
        w = w + ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts; exec "$@"', "sh"]
    return w + pin(role) + cmd


def stop(p):
    if p is None or p.poll() is not None:
        return
    pids = tree(p.pid)
    for s, t in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        for q in pids:
            try:
                os.kill(q, s)
            except OSError:
                pass
        try:
            p.wait(t)
            break
        except subprocess.TimeoutExpired:
            pass
    for q in pids[1:]:
        try:
            os.kill(q, signal.SIGKILL)
        except OSError:
            pass


def find_bin(name, root=None):
    if name.startswith(("/", "@")):
        return name
    for d in [ROOT13] if root == "13" else [ROOT, ""]:
        for s in ("/usr/sbin/", "/usr/bin/", "/sbin/", "/usr/local/bin/"):
            if os.access(d + s + name, os.X_OK):
                return d + s + name
    return shutil.which(name) if root != "13" else None


def unpacked(cmd, root=None):
    """@return the command with its program looked up, and the environment that it needs"""
    b = find_bin(cmd[0], root)
    if not b:
        raise RuntimeError("not installed")
    if root == "13" and b.startswith(ROOT13):
        libraries = ROOT13 + LIBRARIES[0]
        loader = os.path.realpath(libraries + "/ld-linux-x86-64.so.2")
        return [loader, "--library-path", libraries, "--argv0", b, b] + cmd[1:], {}
    env = {"LD_LIBRARY_PATH": ":".join(ROOT + x for x in LIBRARIES)} if b.startswith(ROOT) else {}
    return [b] + cmd[1:], env


def write_hosts(net):
    """The names of the origin; every proxy sees this file as /etc/hosts."""
    path = f"{run_directory.path}/hosts.{net.name}"
    with open(path, "w") as f:
        f.write("127.0.0.1 localhost\n" + "".join(f"{net.sip} ok-{i}.test\n" for i in range(NHOSTS)))
        f.write(f"{net.sip} origin\n")
    return path


def blocked_names(count):
    """Names of the deny lists; no workload asks for one of them."""
    return (f"blocked-{i:06d}.example-{i % 97:02d}.test" for i in range(count))


class Inst:
    """One started peer (with a given rule count)."""

    n = 0

    def __init__(self, net, name, rules=10):
        self.net, self.name, self.rules, self.p = net, name, rules, PEERS[name]
        self.kernel = self.p.get("kernel")
        self.proc = None
        self.up_now = False
        self.start_s = self.rss0 = 0
        Inst.n += 1
        base = 20000 + (Inst.n % 400) * 16 if net.name == "loop" else 6000 + (Inst.n % 200) * 8
        self.dir = f"{run_directory.path}/{name}.{rules}"
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self.ports = {c: base + i for i, c in enumerate(CAPS)}
        self.ports["h2"] = self.ports["tls"]
        self.ports["connect"] = self.ports["fwd"]
        if self.kernel and self.kernel.get("same_port"):
            self.ports.update(SAME)
        self.hosts = write_hosts(net)
        self.acl = self.dir + "/" + self.p.get("acl_path", "acl" + self.p.get("acl_suffix", ""))
        self.v = self.values()
        self.write_files()

    def values(self):
        """What placeholders stand for."""
        net, run = self.net, run_directory.path
        share = ""
        if self.p.get("root") == "13" and os.path.isdir(ROOT13 + "/usr/share/squid-langpack"):
            share = ROOT13
        elif os.path.isdir(ROOT + "/usr/share/squid"):
            share = ROOT
        return {
            "run": self.dir, "tools": options.tools, "bpffs": run + "/bpffs",
            "pip": net.pip, "sip": net.sip, "eip": net.eip, "dip": net.dip,
            "op": OP, "otls": OTLS, "udp": UDP, "iperf": IPERF,
            "cert": run + "/ec.crt", "key": run + "/ec.key", "pem": run + "/ec.pem",
            "acl": self.acl, "hosts": self.hosts,
            "root": ROOT, "root13": ROOT13, "rootany": ROOT if os.path.isdir(ROOT + "/usr") else "",
            "share": share + "/usr/share",
            "nofile": min(NOFILE - 500, 120000), "maxconn": min(NOFILE // 2 - 600, 60000),
            "P": " ".join(net.wrap("proxy")), "C": " ".join(net.wrap("client")), "S": " ".join(net.wrap("server")),
            **{"p_" + c: q for c, q in self.ports.items()},
        }

    def write_files(self):
        for a, b in self.p.get("copy", []):
            shutil.copytree(self.sub(a), self.dir + "/" + b, dirs_exist_ok=True)
        if "acl" in self.p:
            os.makedirs(os.path.dirname(self.acl), exist_ok=True)
            with open(self.acl, "w") as f:
                f.write(self.sub(self.p.get("acl_head", "")))
                for name in blocked_names(self.rules):
                    f.write(self.p["acl"](name) + "\n")
        for fn, t in self.p.get("files", {}).items():
            os.makedirs(os.path.dirname(f"{self.dir}/{fn}"), exist_ok=True)
            with open(f"{self.dir}/{fn}", "w") as f:
                f.write(self.sub(t))
        if "chown" in self.p:
            sh(f"chown -R {self.p['chown']} {self.dir}")

    def sub(self, t):
        return re.sub(r"@(\w+)@", lambda m: str(self.v[m.group(1)]) if m.group(1) in self.v else m.group(0), t)

    def addr(self, cap):
        ip = getattr(self.net, self.kernel["ip"]) if self.kernel else self.net.pip
        return ip, self.ports[cap]

    def start(self):
        t0 = time.time()
        if self.kernel:
            return self
        cmd, env = unpacked([self.sub(c) for c in self.p["cmd"]], self.p.get("root"))
        env = {**os.environ, **{k: self.sub(v) for k, v in self.p.get("env", {}).items()}, **env}
        out = self.dir + "/out.log"
        with open(out, "w") as log:
            self.proc = subprocess.Popen(argv(self.net, "proxy", cmd, self.hosts), stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, env=env, cwd=self.dir)
        cap = next(c for c in ("l4", "h1", "fwd", "socks", "tls") if c in self.p["caps"])
        lim = time.time() + self.p.get("slow_start", 8)
        while time.time() < lim:
            if self.proc.poll() is not None:
                raise RuntimeError("exited: " + self.said(out))
            if probe(self, cap):
                self.start_s = time.time() - t0
                self.rss0 = pss_kb(tree(self.proc.pid))
                return self
            time.sleep(0.1)
        self.halt()
        raise RuntimeError("not ready: " + self.said(out))

    @staticmethod
    def said(path):
        with open(path, errors="replace") as f:
            return f.read()[-300:]

    def enter(self):  # kernel peers are switched on only around their own run
        if self.kernel and not self.up_now:
            for c in self.kernel["up"]:
                sh(self.sub(c))
            self.up_now = True
            if self.kernel["up"]:
                time.sleep(0.05)

    def leave(self):
        if self.kernel and self.up_now:
            for c in self.kernel["down"]:
                sh(self.sub(c), check=False)
            self.up_now = False

    def halt(self):
        self.leave()
        stop(self.proc)
        self.proc = None

    def pids(self):
        return tree(self.proc.pid) if self.proc else []


def client(net, cmd, timeout=30):
    cmd, env = unpacked(cmd)
    p = subprocess.Popen(argv(net, "client", cmd), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, env={**os.environ, **env})
    try:
        o, e = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        raise RuntimeError("client timeout") from None
    if p.returncode:
        raise RuntimeError(f"client rc={p.returncode}: {e[-300:]}")
    return o, e


def pfload(inst, mode, cap, dur, *extra, conns=16):
    ip, port = inst.addr(cap)
    c = [options.tools + "/pfload", mode, "--target", f"{ip}:{port}", "--dur", str(dur), "--conns", str(conns)]
    o, e = client(inst.net, c + list(map(str, extra)), dur + 20)
    d = json.loads(o.strip().splitlines()[-1])
    if e.strip():
        d["note"] = e.strip()[:160]
    return d


def probe(inst, cap):
    x = {
        "fwd": ("--via", "absuri", "--host", "ok-%d.test", "--port", OP, "--path", "/16"),
        "socks": ("--via", "socks5", "--host", inst.net.sip, "--port", OP),
        "tls": ("--tls",),
    }.get(cap, ())
    try:
        return pfload(inst, "conn", cap, 0.15, *x, conns=1)["ops"] > 0
    except RuntimeError:
        return False
