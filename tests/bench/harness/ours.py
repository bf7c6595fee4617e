# SPDX-License-Identifier: AGPL-3.0-only
"""Our proxies as systems under test: the real programs, judging by a revision that the manager published.

A policy of n rules is n deny mappings, each with a destination service of its own, beside the mappings that let the
workloads through. Up to FEW rules are made by the REST API one by one. More are copied into the manager's database
while it is down, since one request a rule would make one revision a rule; the revision that carries them is then made
by the REST API like any other.
"""

import contextlib
import json
import pathlib
import shutil
import sqlite3
import time

from accounting import pss_kb, tree
from instance import Inst, argv, blocked_names, write_hosts
from place import IPERF, NHOSTS, OP, UDP, run_directory

from suite import check, wait_until

FEW = 100


class Deployment:
    """A manager with a cluster for each number of rules, in a Suite whose namespaces are the harness's."""

    def __init__(self, suite, net):
        self.suite, self.net = suite, net
        suite.names = {"c": net.ns["client"], "p": net.ns["proxy"], "s": net.ns["server"]}
        suite.make_management_link()
        suite.start_manager()
        self.keys = {}

    def post(self, cluster, what, body):
        return self.suite.api.call("POST", f"/api/v1/clusters/{cluster}/{what}?wait=0", body)

    def add_cluster(self, cluster, rules, ports):
        """Makes a cluster whose policy has @p rules deny rules."""
        self.keys[cluster] = self.suite.api.call("POST", "/api/v1/clusters", {"name": cluster})["data"]["api_key"]
        self.post(cluster, "services", {"name": "clients", "address": self.net.cip + "/32"})
        named = [f"ok-{i}.test" for i in range(NHOSTS)]
        for name in named:
            self.post(cluster, "services", {"name": name, "address": name, "ports": str(OP)})
        for name, port in (("l4", OP), ("iperf", IPERF)):
            self.post(cluster, "services", {"name": name, "address": self.net.sip, "ports": str(port),
                                            "listen_port": ports[name]})
        self.post(cluster, "services", {"name": "udp", "address": self.net.sip, "ports": str(UDP), "listen_port": ports["udp"],
                                        "protocols": ["udp"]})
        self.post(cluster, "mappings", {"name": "datagrams", "sources": ["clients"], "destinations": ["udp"],
                                        "protocols": ["udp"], "allow_private": True})
        for name, to, port in (("names", named, OP), ("addresses", ["l4", "iperf"], f"{OP},{IPERF}")):
            self.post(cluster, "mappings", {"name": name, "sources": ["clients"], "destinations": to,
                                            "protocols": ["tcp"], "ports": str(port), "allow_private": True})
        for i, name in enumerate(blocked_names(min(rules, FEW))):
            self.post(cluster, "services", {"name": f"blocked-{i}", "address": name})
            last = self.post(cluster, "mappings", {"name": f"deny-{i}", "sources": ["clients"],
                                                   "destinations": [f"blocked-{i}"], "action": "deny"})["data"]
        if rules > FEW:
            self.multiply(cluster, last["id"], rules)

    def multiply(self, cluster, mapping, rules):
        """Copies the last deny rule until there are @p rules, then has the API make a revision of it all."""
        self.suite.manager.stop()
        with contextlib.closing(sqlite3.connect(self.suite.directory / "manager/marchproxy.db")) as db, db:
            copy_rules(db, mapping, list(blocked_names(rules))[FEW:])
        self.suite.start_manager()
        done = self.suite.api.call("PATCH", f"/api/v1/clusters/{cluster}/mappings/{mapping}?wait=0",
                                   {"comment": "all of them"})
        check(done["revision"]["state"] != "aborted", done)

    def add_ingress_cluster(self, cluster, ports):
        """Makes a cluster with two routes to the origin, plain and with TLS."""
        self.keys[cluster] = self.suite.api.call("POST", "/api/v1/clusters", {"name": cluster})["data"]["api_key"]
        self.post(cluster, "services", {"name": "clients", "address": self.net.cip + "/32"})
        self.post(cluster, "services", {"name": "origin", "address": self.net.sip, "ports": str(OP)})
        self.post(cluster, "mappings", {"sources": ["clients"], "destinations": ["origin"], "protocols": ["tcp"]})
        for name, tls in (("h1", False), ("tls", True)):
            self.post(cluster, "ingress-routes", {"name": name, "listen_port": ports[name], "tls": tls,
                                                  "backends": ["origin"]})

    # No address of its own network is needed but the listeners'; one worker; no records, as peers write no logs.
    def environment(self, io):
        return {"WORKERS": "1", "LISTEN_ADDRESS": self.net.pip, "LOG_LEVEL": "warn", "VERDICT_STREAM": "off",
                "IO_BACKEND": io}

    def command(self, hosts=None):
        return argv(self.net, "proxy", [], hosts)[len(self.net.wrap("proxy")):]

    def egress(self, name, port, hosts, io):
        """Starts a proxy of the cluster of its name and waits until it judges by the newest revision."""
        started = self.suite.start_egress(self.keys[name], name, {"ENABLE_EBPF": "false", **self.environment(io)}, port,
                                          self.command(hosts))
        return self.judging(started, name)

    def ingress(self, name, io):
        certificates = pathlib.Path(run_directory.path, "certificates")  # the pair that peers have
        certificates.mkdir(exist_ok=True)
        for part in ("ec.crt", "ec.key"):
            shutil.copy(pathlib.Path(run_directory.path, part), certificates)
        started = self.suite.start_ingress(self.keys[name], name,
                                           {**self.environment(io), "TLS_CERT_DIR": str(certificates)}, self.command())
        return self.judging(started, name)

    def judging(self, proxy, name):
        newest = self.suite.api.call("GET", f"/api/v1/clusters/{name}/revisions?limit=1")["data"][0]["number"]
        wait_until(lambda: (self.suite.health(proxy) or {}).get("revision") == newest, 60,
                   f"{name} judges by revision {newest}")
        return proxy


def copy_rules(db, mapping, names):
    """Copies mapping @p mapping with the service that it names, once for each of @p names."""
    service, = db.execute("SELECT service_id FROM mapping_services WHERE mapping_id = ? AND side = 'destination'",
                          (mapping,)).fetchone()
    columns = "cluster_id, collection, active, body, created_at, updated_at"
    cluster, collection, active, body, created, updated = db.execute(
        f"SELECT {columns} FROM services WHERE id = ?", (service,)).fetchone()
    rule, = db.execute("SELECT body FROM mappings WHERE id = ?", (mapping,)).fetchone()
    sources = [s for s, in db.execute("SELECT service_id FROM mapping_services WHERE mapping_id = ? AND "
                                      "side = 'source'", (mapping,))]
    for number, address in enumerate(names):
        copy = {**json.loads(body), "name": f"copy-{number}", "address": address}
        made = db.execute("INSERT INTO services (name, " + columns + ") VALUES (?, ?, ?, ?, ?, ?, ?)",
                          (copy["name"], cluster, collection, active, json.dumps(copy), created, updated)).lastrowid
        copy = {**json.loads(rule), "name": f"copy-{number}", "destinations": [{"type": "service", "id": made}]}
        to = db.execute("INSERT INTO mappings (cluster_id, name, active, body, created_at, updated_at) "
                        "VALUES (?, ?, ?, ?, ?, ?)",
                        (cluster, copy["name"], active, json.dumps(copy), created, updated)).lastrowid
        db.executemany("INSERT INTO mapping_services (mapping_id, service_id, side) VALUES (?, ?, ?)",
                       [(to, made, "destination")] + [(to, s, "source") for s in sources])


class Ours(Inst):
    """A proxy of a Deployment, as the harness sees a peer.

    @param io  its IO_BACKEND
    """

    def __init__(self, net, name, rules, deployment, io="epoll"):
        super().__init__(net, name, rules)
        self.deployment, self.process, self.io = deployment, None, io

    def start(self):
        begin = time.time()
        self.process = self.launch()
        self.proc = self.process.child
        self.start_s, self.rss0 = time.time() - begin, pss_kb(tree(self.proc.pid))
        return self

    def halt(self):
        if self.process:
            self.process.stop()
        self.proc = self.process = None


class Egress(Ours):
    CAPS = {"l4", "iperf", "udp", "fwd", "connect", "socks"}

    def __init__(self, net, name, rules, deployment, io="epoll"):
        super().__init__(net, name, rules, deployment, io)
        self.ports["socks"] = self.ports["fwd"]  # one port speaks both

    def launch(self):
        self.deployment.add_cluster(self.name, self.rules, self.ports)
        return self.deployment.egress(self.name, self.ports["fwd"], write_hosts(self.net), self.io)


class Ingress(Ours):
    CAPS = {"h1", "tls"}

    def launch(self):
        self.deployment.add_ingress_cluster(self.name, self.ports)
        return self.deployment.ingress(self.name, self.io)
