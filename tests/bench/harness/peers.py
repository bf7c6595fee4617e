# SPDX-License-Identifier: AGPL-3.0-only
"""Peers: each is a plain dict, so a new one is one more dict; a system under test adds itself with add().

keys
  cmd     argv; the first word is looked up by find_bin() (unpacked packages first, then PATH)
  root    "13": the binary of the next suite's packages, through its own loader
  files   {name: template}; placeholders @name@ (Inst.values in instance.py), templates in configs/
  caps    set of what it serves; each has its own port @p_<cap>@:
            l4 (TCP to the origin's HTTP), iperf (TCP to iperf3), udp (UDP to the sink), h1 (HTTP reverse),
            tls (TLS reverse, h1 or h2 by ALPN), h2 (subset of tls: speaks HTTP/2),
            fwd (forward proxy: absolute-form GET), connect (CONNECT on the fwd port), socks
  acl     function(domain) -> line of the deny list @acl@ (workloads with rules); missing: no rule list
  env     more environment
  kernel  {"up": [...], "down": [...]} shell lines instead of a process; {"ip": where the client aims, "same_port": True}
  max_rules  skip rule counts above this
  inst    class to use instead of Inst (a system under test that is not started by one command)
"""

from place import HERE


def config(name):
    return (HERE / "configs" / name).read_text()


def bpf(kind):
    pin = "@bpffs@/" + kind
    if kind == "tc":
        up = [
            f"bpftool prog loadall @tools@/pf_bpf.o {pin}",
            "@P@ tc qdisc add dev p0 clsact",
            "@P@ tc qdisc add dev p1 clsact",
            f"@P@ tc filter add dev p0 ingress bpf da pinned {pin}/tc_c2s",
            f"@P@ tc filter add dev p1 ingress bpf da pinned {pin}/tc_s2c",
        ]
        down = ["@P@ tc qdisc del dev p0 clsact", "@P@ tc qdisc del dev p1 clsact", f"rm -rf {pin}"]
    else:
        up = [
            f"bpftool prog loadall @tools@/pf_bpf.o {pin}",
            "@C@ ethtool -K c0 tx off gro on",
            "@S@ ethtool -K s0 tx off gro on",
            f"@P@ ip link set dev p0 xdpdrv pinned {pin}/xdp_c2s",
            f"@P@ ip link set dev p1 xdpdrv pinned {pin}/xdp_s2c",
            f"@C@ ip link set dev c0 xdpdrv pinned {pin}/xdp_pass",
            f"@S@ ip link set dev s0 xdpdrv pinned {pin}/xdp_pass",
        ]
        down = [
            "@P@ ip link set dev p0 xdpdrv off",
            "@P@ ip link set dev p1 xdpdrv off",
            "@C@ ip link set dev c0 xdpdrv off",
            "@S@ ip link set dev s0 xdpdrv off",
            "@C@ ethtool -K c0 tx on gro off",
            "@S@ ethtool -K s0 tx on gro off",
            f"rm -rf {pin}",
        ]
    return {"up": up, "down": down, "ip": "pip", "same_port": True}


def floor(mode, caps=("l4", "iperf", "h1")):
    """A relay that does nothing but move bytes."""
    cmd = ["@tools@/pfrelay", "--mode", mode]
    for cap, to in (("l4", "op"), ("h1", "op"), ("iperf", "iperf")):
        cmd += ["--tcp", f"@pip@:@p_{cap}@=@sip@:@{to}@"]
    if "udp" in caps:
        cmd += ["--udp", "@pip@:@p_udp@=@sip@:@udp@"]
    return dict(cmd=cmd, caps=set(caps))


def kernel(ip, *lines):
    up, down = lines or ([], [])
    return {"up": up, "down": down, "ip": ip, "same_port": True}


ALL = {"l4", "iperf", "udp", "h1", "tls", "h2", "fwd"}
LIMITS = {
    "direct": dict(kernel=kernel("dip"), caps={"l4", "iperf", "udp", "h1", "tls"}),
    "route": dict(kernel=kernel("sip"), caps={"l4", "iperf", "udp"}),
    "nft_dnat": dict(
        kernel=kernel("pip", ["@P@ nft -f @run@/dnat.nft"], ["@P@ nft delete table ip pf"]),
        caps={"l4", "iperf", "udp"}, files={"dnat.nft": config("dnat.nft")}),
    "tc_bpf": dict(kernel=bpf("tc"), caps={"l4", "iperf", "udp"}),
    "xdp_veth": dict(kernel=bpf("xdp"), caps={"l4", "iperf", "udp"}),
    "floor_copy": floor("copy", ("l4", "iperf", "h1", "udp")),
    "floor_splice": floor("splice"),
}
FORWARD = {
    "squid5": dict(
        cmd=["squid", "-N", "-f", "@run@/c.conf"], files={"c.conf": config("squid.conf")}, caps={"fwd", "connect"},
        acl=lambda d: "." + d, chown="proxy", slow_start=30),
    "squid6": dict(
        root="13", cmd=["squid-gnutls", "-N", "-f", "@run@/c.conf"], files={"c.conf": config("squid.conf")},
        caps={"fwd", "connect"}, acl=lambda d: "." + d, chown="proxy", slow_start=30),
    "tinyproxy": dict(
        cmd=["tinyproxy", "-d", "-c", "@run@/c.conf"], files={"c.conf": config("tinyproxy.conf")},
        caps={"fwd", "connect"}, acl=lambda d: "^" + d.replace(".", "\\.") + "$", slow_start=60, max_rules=10000),
    "privoxy": dict(
        cmd=["privoxy", "--no-daemon", "@run@/c.conf"], files={"c.conf": config("privoxy.conf")},
        caps={"fwd", "connect"}, acl=lambda d: "." + d, acl_head="{+block{x}}\n", acl_suffix=".action",
        slow_start=60, max_rules=10000),
    "ats9": dict(
        cmd=["traffic_server", "--run-root=@run@/runroot.yaml"], caps={"h1", "fwd", "connect"}, chown="proxy",
        slow_start=30, copy=[("@rootany@/etc/trafficserver", "etc")], acl_path="etc/remap.config",
        acl_head="map http://@pip@:@p_h1@/ http://@sip@:@op@/\nmap http://origin/ http://@sip@:@op@/\n",
        acl=lambda d: f"redirect http://{d}/ http://denied.invalid/",
        files={"runroot.yaml": config("ats9.runroot.yaml.in"), "run/.x": "", "logs/.x": "", "cache/.x": "",
               "etc/storage.config": "", "etc/records.config": config("ats9.records")}),
    "dante": dict(
        cmd=["danted", "-f", "@run@/c.conf", "-p", "@run@/pid"], files={"c.conf": config("dante.conf")},
        caps={"socks"}),
    "microsocks": dict(cmd=["microsocks", "-i", "@pip@", "-p", "@p_socks@"], caps={"socks"}),
}
REVERSE = {
    "haproxy26": dict(
        cmd=["haproxy", "-db", "-f", "@run@/c.cfg"], files={"c.cfg": config("haproxy.cfg")}, caps=ALL - {"udp"},
        acl=lambda d: d),
    "haproxy30": dict(
        root="13", cmd=["haproxy", "-db", "-f", "@run@/c.cfg"], files={"c.cfg": config("haproxy.cfg")},
        caps=ALL - {"udp"}, acl=lambda d: d),
    "nginx122": dict(
        cmd=["nginx", "-c", "@run@/c.conf", "-p", "@run@"], files={"c.conf": config("nginx122.conf")}, caps=ALL,
        acl=lambda d: d + " 1;"),
    "nginx126": dict(
        root="13", cmd=["nginx", "-c", "@run@/c.conf", "-p", "@run@"], files={"c.conf": config("nginx126.conf")},
        caps=ALL, acl=lambda d: d + " 1;"),
    "apache24": dict(
        cmd=["apache2", "-DFOREGROUND", "-f", "@run@/c.conf"], files={"c.conf": config("apache24.conf")},
        caps={"h1", "tls", "h2", "fwd", "connect"}, acl=lambda d: d + " 1"),
    "lighttpd": dict(
        cmd=["lighttpd", "-D", "-f", "@run@/c.conf", "-m", "@rootany@/usr/lib/lighttpd"],
        files={"c.conf": config("lighttpd.conf")}, caps={"h1", "tls", "h2"}),
    "h2o": dict(
        cmd=["h2o", "-c", "@run@/c.yaml"], files={"c.yaml": config("h2o.yaml.in")}, caps={"h1", "tls", "h2"}),
    "caddy26": dict(
        cmd=["caddy", "run", "--adapter", "caddyfile", "--config", "@run@/Caddyfile"],
        env={"GOMAXPROCS": "1", "HOME": "@run@", "XDG_DATA_HOME": "@run@", "XDG_CONFIG_HOME": "@run@"},
        files={"Caddyfile": config("caddy26.caddyfile")}, caps={"h1", "tls", "h2"}),
    "nghttpx": dict(
        cmd=["nghttpx", "--conf=/dev/null", "--frontend=@pip@,@p_h1@;no-tls", "--frontend=@pip@,@p_tls@",
             "--backend=@sip@,@op@", "--workers=1", "--errorlog-file=/dev/null", "--accesslog-file=/dev/null",
             "--single-process", "--backlog=65535", "--frontend-keep-alive-timeout=300",
             "--backend-keep-alive-timeout=300", "--worker-frontend-connections=0", "@key@", "@cert@"],
        caps={"h1", "tls", "h2"}),
    "varnish7": dict(
        cmd=["varnishd", "-F", "-j", "none", "-n", "@run@/v", "-a", "@pip@:@p_h1@", "-f", "@run@/v.vcl",
             "-s", "default,64m", "-p", "thread_pools=1", "-p", "thread_pool_max=500", "-p", "thread_pool_stack=128k",
             "-p", "timeout_idle=300", "-p", "thread_pool_min=64"],
        files={"v.vcl": config("varnish7.vcl")}, caps={"h1"}, slow_start=20),
    "hitch": dict(cmd=["hitch", "--config=@run@/c.conf"], files={"c.conf": config("hitch.conf")}, caps={"tls"}),
    "pen": dict(cmd=["pen", "-f", "-x", "20000", "-c", "8192", "-r", "@pip@:@p_l4@", "@sip@:@op@"], caps={"l4"}),
}
PEERS = {**LIMITS, **FORWARD, **REVERSE}


def add(name, peer):
    PEERS[name] = peer
