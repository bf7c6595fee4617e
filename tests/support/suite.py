# SPDX-License-Identifier: AGPL-3.0-only
"""Starts a manager and egress proxies as real processes, and three network namespaces for real traffic.

Used by scripts/demo and tests/e2e; clients and servers are in traffic.py. Standard library only. Every process is ended by
the pid it was started with, every namespace has this process's id in its name and is removed at the end.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from traffic import act_get

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRAFFIC = [sys.executable, str(ROOT / "tests/support/traffic.py")]
CLIENT, PROXY, SERVER = "10.77.1.2", "10.77.1.1", "203.0.113.10"
CLIENT6, SERVER6 = "fd77:1::2", "2001:db8:77::10"


class Failed(Exception):
    """A step did not come out as it should."""


def check(condition, message):
    if not condition:
        raise Failed(message)


def wait_until(condition, seconds, what):
    """Polls until condition() is true. Returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def free_port():
    """A port of 127.0.0.1 where nobody listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


class Steps:
    """Runs steps that print a line each and remembers how many failed."""

    def __init__(self):
        self.failed = 0

    def step(self, name, action):
        start = time.monotonic()
        try:
            said, ok = action() or "", True
        except (Failed, AttributeError, LookupError, OSError, TypeError, ValueError,
                subprocess.SubprocessError) as problem:
            said, ok = f"{type(problem).__name__}: {problem}", False
            self.failed += 1
        print(f"{'ok  ' if ok else 'FAIL'} {int((time.monotonic() - start) * 1000):6d} ms  {name}"
              f"{': ' if said else ''}{said}", flush=True)


class Process:
    """A child with its output in a file; `ready` waits for a line that matches."""

    def __init__(self, name, command, environment, directory, namespace=None, runs_in=None):
        self.name = name
        self.log_path = directory / f"{name}.log"
        self.log = open(self.log_path, "ab")
        self.begin = self.log_path.stat().st_size
        if namespace:
            command = ["ip", "netns", "exec", namespace, *command]
        self.child = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=self.log, stderr=subprocess.STDOUT,
            cwd=runs_in or directory,
        )

    def output(self):
        with open(self.log_path, "rb") as file:
            file.seek(self.begin)
            return file.read().decode(errors="replace")

    def ready(self, pattern, seconds=30):
        def look():
            found = re.search(pattern, self.output())
            if not found and self.child.poll() is not None:
                raise Failed(f"{self.name} ended: {self.output()[-2000:]}")
            return found

        return wait_until(look, seconds, f"{self.name} says {pattern}")

    def kill(self, how=signal.SIGKILL):
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()

    def stop(self, seconds=10):
        """Asks it to end, and fails when it does not."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                raise Failed(f"{self.name} does not end {seconds} s after SIGTERM: {self.output()[-1000:]}") from None
        self.log.close()


class Api:
    """The manager's REST API with an API key."""

    def __init__(self, base, key=None):
        self.base, self.key = base, key

    def call(self, method, path, body=None, headers=None, expect=(200, 201, 204)):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers or {})
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        try:
            with urllib.request.urlopen(request, timeout=70) as answer:
                status, text, cookies = answer.status, answer.read(), answer.headers.get("Set-Cookie")
        except urllib.error.HTTPError as problem:
            status, text, cookies = problem.code, problem.read(), None
        value = json.loads(text) if text else {}
        check(status in expect, f"{method} {path}: {status} {text[:600]!r}")
        if cookies:
            value["cookie"] = cookies.split(";")[0]
        return value

    def text(self, path):
        """An answer that is not JSON."""
        request = urllib.request.Request(self.base + path, headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=70) as answer:
            return answer.read().decode()

    def pages(self, path):
        """All items of a list, page by page."""
        out, cursor = [], None
        while cursor != "":
            more = f"&cursor={cursor}" if cursor else ""
            page = self.call("GET", f"{path}?limit=500{more}")
            out += page["data"]
            cursor = page.get("next_cursor") or ""
        return out

    @staticmethod
    def log_in(base, password):
        """Logs the first administrator in and makes an API key, which is what everything else uses."""
        api = Api(base)
        session = api.call("POST", "/api/v1/auth/login", {"username": "admin", "password": password})
        made = api.call(
            "POST",
            "/api/v1/api-keys",
            {"name": "suite", "scope": "write"},
            {"Cookie": session["cookie"], "X-CSRF-Token": session["data"]["csrf_token"]},
        )
        return Api(base, made["data"]["api_key"])


class Suite:
    """One manager, its private bus, and proxies; removed with everything it made."""

    def __init__(self, build, networks=True):
        self.build = pathlib.Path(build)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="marchproxy-"))
        self.password = secrets.token_urlsafe(18)
        self.processes = []
        self.networks = networks
        tag = f"mp{os.getpid()}"
        self.names = {role: f"{tag}{role}" for role in ("c", "p", "s")}
        self.bridge = f"{tag}m"
        self.bus_address = "127.0.0.1"
        self.api = None
        self.manager = None
        self.manager_port = 0
        self.nats_port = 0

    # Networks: client - proxy - server, and a link from the proxy to the manager in the caller's own namespace.
    def make_networks(self):
        c, p, s = (self.names[x] for x in "cps")
        for name in (c, p, s):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for inside, peer, inner, outer in ((c, p, "c0", "pc"), (s, p, "s0", "ps")):
            run("ip", "-n", inside, "link", "add", inner, "type", "veth", "peer", "name", outer, "netns", peer)
            run("ip", "-n", inside, "link", "set", inner, "up")
            run("ip", "-n", peer, "link", "set", outer, "up")
        for name, link, address in (
            (c, "c0", f"{CLIENT}/24"), (p, "pc", f"{PROXY}/24"), (p, "ps", "203.0.113.1/24"), (s, "s0", f"{SERVER}/24"),
        ):
            run("ip", "-n", name, "addr", "add", address, "dev", link)
        for name, link, address in (
            (c, "c0", f"{CLIENT6}/64"), (p, "pc", "fd77:1::1/64"),
            (p, "ps", "2001:db8:77::1/64"), (s, "s0", f"{SERVER6}/64"),
        ):
            run("ip", "-n", name, "-6", "addr", "add", address, "dev", link, "nodad")
        run("ip", "-n", c, "route", "add", "default", "via", PROXY)
        run("ip", "-n", s, "route", "add", "default", "via", "203.0.113.1")
        run("ip", "-n", c, "-6", "route", "add", "default", "via", "fd77:1::1")
        run("ip", "-n", s, "-6", "route", "add", "default", "via", "2001:db8:77::1")
        run("ip", "netns", "exec", p, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.make_management_link()

    def make_management_link(self):
        """Lets proxies in the proxy's namespace reach the manager's bus, which stays in the caller's own."""
        p = self.names["p"]
        run("ip", "link", "add", self.bridge, "type", "veth", "peer", "name", "mgmt", "netns", p)
        link = f"10.{64 + os.getpid() // 250 % 12}.{1 + os.getpid() % 250}"
        self.bus_address = f"{link}.1"
        run("ip", "addr", "add", f"{self.bus_address}/30", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        run("ip", "-n", p, "addr", "add", f"{link}.2/30", "dev", "mgmt")
        run("ip", "-n", p, "link", "set", "mgmt", "up")

    def start_manager(self, extra=None):
        environment = {
            "DATA_DIR": str(self.directory / "manager"),
            "LISTEN_ADDRESS": "127.0.0.1",
            "LISTEN_PORT": str(self.manager_port),
            "NATS_LISTEN_ADDRESS": self.bus_address,
            "NATS_LISTEN_PORT": str(self.nats_port),
            "ADMIN_PASSWORD": self.password,
            **(extra or {}),
        }
        self.manager = self.start("manager", [str(self.build / "nodes/manager/marchproxy-manager")], environment)
        found = self.manager.ready(r"listening on ([0-9.]+):([0-9]+), bus nats://\S+:([0-9]+)")
        self.manager_port, self.nats_port = int(found[2]), int(found[3])
        base = f"http://127.0.0.1:{self.manager_port}"
        self.api = Api(base, self.api.key) if self.api else Api.log_in(base, self.password)
        return self.manager

    @property
    def nats_url(self):
        return f"nats://{self.bus_address}:{self.nats_port}"

    def start_egress(self, key, name="egress-1", extra=None, port=8080, prefix=()):
        """@param prefix  words before the program, which must become it (exec)"""
        namespace = self.names["p"] if self.networks else None
        environment = {
            "CLUSTER_API_KEY": key,
            "NATS_URL": self.nats_url,
            "PROXY_NAME": name,
            "STATE_DIR": str(self.directory / name),
            "LISTEN_ADDRESS": "0.0.0.0" if self.networks else "127.0.0.1",
            "LISTEN_PORT": str(port),
            "ADMIN_ADDRESS": "127.0.0.1",
            "ADMIN_PORT": "0",
            **({"EBPF_INTERFACES": "pc,ps"} if self.networks else {}),
            **(extra or {}),
        }
        egress = self.start(name, [*prefix, str(self.build / "nodes/egress/marchproxy-egress")], environment, namespace)
        found = egress.ready(r"proxy http://[0-9.]+:([0-9]+), admin ([0-9.]+):([0-9]+), tier (\w+)")
        egress.proxy_port, egress.admin_port, egress.tier = int(found[1]), int(found[3]), found[4]
        return egress

    def start_ingress(self, key, name="ingress-1", extra=None, prefix=()):
        """@param prefix  as start_egress"""
        namespace = self.names["p"] if self.networks else None
        environment = {
            "CLUSTER_API_KEY": key,
            "NATS_URL": self.nats_url,
            "PROXY_NAME": name,
            "STATE_DIR": str(self.directory / name),
            "LISTEN_ADDRESS": "0.0.0.0" if self.networks else "127.0.0.1",
            "ADMIN_ADDRESS": "127.0.0.1",
            "ADMIN_PORT": "0",
            **(extra or {}),
        }
        ingress = self.start(name, [*prefix, str(self.build / "nodes/ingress/marchproxy-ingress")], environment, namespace)
        ingress.admin_port = int(ingress.ready(r"admin [0-9.]+:([0-9]+)")[1])
        return ingress

    def start(self, name, command, environment, namespace=None, directory=None):
        """@param directory  where it runs; the suite's own unless given"""
        process = Process(name, command, environment, self.directory, namespace, directory)
        self.processes.append(process)
        return process

    def in_namespace(self, role, *command, **options):
        prefix = ["ip", "netns", "exec", self.names[role]] if self.networks else []
        return subprocess.run([*prefix, *command], capture_output=True, text=True, **options)

    def traffic(self, role, *arguments):
        """Runs one of traffic.py's actions in a namespace; its answer as JSON."""
        done = self.in_namespace(role, *TRAFFIC, *map(str, arguments), timeout=30)
        check(done.returncode == 0, f"{arguments}: {done.stderr[-500:]}")
        return json.loads(done.stdout)

    def admin(self, egress, path):
        """GET of the egress proxy's admin port, which listens inside its namespace."""
        return self.traffic("p", "get", "127.0.0.1", egress.admin_port, path)

    def health(self, egress):
        """The proxy's /healthz as a value, whatever its status; None while nobody answers."""
        with contextlib.suppress(Failed, OSError, ValueError, http.client.HTTPException):
            if self.networks:
                return json.loads(self.admin(egress, "/healthz")["body"])
            return json.loads(act_get("127.0.0.1", egress.admin_port, "/healthz")["body"])
        return None

    def bus_processes(self):
        """Process ids of the manager's private nats-server, which a child of the manager starts."""
        def children(parents):
            done = subprocess.run(["ps", "--no-headers", "-o", "pid", "--ppid", ",".join(map(str, parents))],
                                  capture_output=True, text=True, check=False)
            return [int(pid) for pid in done.stdout.split()]

        starters = children([self.manager.child.pid])
        return children(starters) if starters else []

    @staticmethod
    def npm_modules(source):
        """A directory with the npm packages that `source` pins: where its scripts are to be run."""
        work = ROOT / "build" / source.name
        run(str(ROOT / "tests/support/npm_install"), str(source), str(work))
        return work

    def bus_client(self, script, credentials, *arguments):
        """The command for one of tests/nats-client: plain NATS, none of our code."""
        source = ROOT / "tests/nats-client"
        work = self.directory / "nats-client"
        if not work.exists():
            work.mkdir()
            for file in source.iterdir():
                if file.is_file():
                    (work / file.name).write_bytes(file.read_bytes())
            (work / "node_modules").symlink_to(self.npm_modules(source) / "node_modules")
        creds = self.directory / f"{credentials['name']}.creds"
        creds.write_text(credentials["creds"])
        return ["node", str(work / script), self.nats_url, str(creds), credentials["user"], *arguments]

    def bus_script(self, script, credentials, *arguments, stdin=""):
        done = subprocess.run(self.bus_client(script, credentials, *arguments), input=stdin, capture_output=True,
                              text=True, timeout=60)
        check(done.returncode == 0, f"{script}: {done.stderr[-800:]}")
        return done.stdout

    def close(self, keep=False):
        for process in reversed(self.processes):
            with contextlib.suppress(Exception):
                process.kill(signal.SIGTERM)
        if self.networks:
            for name in self.names.values():
                subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
            subprocess.run(["ip", "link", "del", self.bridge], capture_output=True, check=False)
        if not keep:
            subprocess.run(["rm", "-rf", str(self.directory)], check=False)
