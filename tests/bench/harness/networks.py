# SPDX-License-Identifier: AGPL-3.0-only
"""Where client, proxy and origin stand: network namespaces of this run's own, or loopback."""

import os

from place import run_directory, sh

SYSCTLS = {
    "net.ipv4.ip_forward": 1,
    "net.ipv4.tcp_tw_reuse": 1,
    "net.ipv4.ip_local_port_range": "10000 65535",
    "net.core.somaxconn": 65535,
    "net.ipv4.tcp_max_syn_backlog": 65535,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}


class Netns:
    """client -c0/p0- proxy -p1/s0- server, plus a straight client-server wire (d0/d1) for the peer `direct`."""

    name, cip, pip, sip, dip, eip = "netns", "10.201.1.2", "10.201.1.1", "10.201.2.2", "10.201.3.1", "10.201.2.1"

    def __init__(self):
        tag = f"pf{os.getpid()}"
        self.ns = {"client": tag + "c", "proxy": tag + "p", "server": tag + "s"}

    def wrap(self, role):
        return ["nsenter", f"--net=/run/netns/{self.ns[role]}"]

    def up(self):
        c, p, s = self.ns["client"], self.ns["proxy"], self.ns["server"]
        for n in (c, p, s):
            sh(f"ip netns add {n}")
            sh(f"ip -n {n} link set lo up")

        def veth(na, a, ia, ma, nb, b, ib, mb):
            sh(f"ip -n {na} link add {a} {ia} address {ma} type veth peer name {b} netns {nb} address {mb} {ib}")
            sh(f"ip -n {na} link set {a} up")
            sh(f"ip -n {nb} link set {b} up")

        # pf_bpf.c knows these interface numbers and MAC addresses.
        veth(p, "p0", "index 101", "02:00:00:00:01:01", c, "c0", "", "02:00:00:00:01:02")
        veth(p, "p1", "index 102", "02:00:00:00:02:01", s, "s0", "", "02:00:00:00:02:02")
        veth(c, "d0", "", "02:00:00:00:03:02", s, "d1", "", "02:00:00:00:03:01")
        for n, d, a in ((c, "c0", self.cip), (p, "p0", self.pip), (p, "p1", self.eip), (s, "s0", self.sip),
                        (c, "d0", "10.201.3.2"), (s, "d1", self.dip)):
            sh(f"ip -n {n} addr add {a}/24 dev {d}")
        sh(f"ip -n {c} route add 10.201.2.0/24 via {self.pip}")
        sh(f"ip -n {s} route add 10.201.1.0/24 via {self.eip}")
        for n in (c, p, s):
            for k, v in SYSCTLS.items():
                sh(["nsenter", f"--net=/run/netns/{n}", "sysctl", "-qw", f"{k}={v}"], check=False)
        os.makedirs(run_directory.path + "/bpffs", exist_ok=True)
        sh(f"mount -t bpf pf_bpffs {run_directory.path}/bpffs", check=False)

    def down(self):
        sh(f"umount {run_directory.path}/bpffs", check=False)
        for n in self.ns.values():
            sh(f"ip netns del {n}", check=False)


class Loop:
    """Addresses of 127/8 that depend on this process, for who has no right to make namespaces."""

    name = "loop"

    def __init__(self):
        block = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}"
        self.cip, self.pip, self.sip = "127.0.0.1", block + ".1", block + ".2"
        self.dip, self.eip = self.sip, self.pip

    def wrap(self, _role):
        return []

    def up(self):
        pass

    def down(self):
        pass
