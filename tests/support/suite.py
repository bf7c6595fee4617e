# SPDX-License-Identifier: AGPL-3.0-only
"""Starts a manager and egress proxies as real processes, and three network namespaces for real traffic.

Used by scripts/demo and tests/e2e. Standard library only. Every process is ended by the pid it was started with, every
namespace has this process's id in its name and is removed at the end.
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

ROOT = pathlib.Path(__file__).resolve().parents[2]
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

    def start_ingress(self, key, name="ingress-1", extra=None):
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
        ingress = self.start(name, [str(self.build / "nodes/ingress/marchproxy-ingress")], environment, namespace)
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
        """Runs one of this file's traffic actions in a namespace; its answer as JSON."""
        done = self.in_namespace(role, sys.executable, __file__, *map(str, arguments), timeout=30)
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
        """Process ids of the manager's children: its private nats-server."""
        done = subprocess.run(["ps", "--no-headers", "-o", "pid", "--ppid", str(self.manager.child.pid)],
                              capture_output=True, text=True, check=False)
        return [int(pid) for pid in done.stdout.split()]

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


# Traffic actions: run inside a namespace, print one JSON value.

def act_connect(host, port, target, headers=""):
    """CONNECT through a proxy, then one GET through the tunnel; a refusal's status and body else."""
    with socket.create_connection((host, int(port)), 5) as link:
        link.settimeout(5)
        link.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{headers}\r\n".encode())
        answer = http.client.HTTPResponse(link, method="CONNECT")
        answer.begin()
        if answer.status != 200:
            return {"status": answer.status, "body": answer.read().decode(errors="replace")}
        if not target.endswith(":8080"):
            link.sendall(b"echo\n")
            return {"status": 200, "body": link.recv(64).decode(errors="replace")}
        link.sendall(f"GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n".encode())
        inner = http.client.HTTPResponse(link)
        inner.begin()
        return {"status": 200, "inner": inner.status, "body": inner.read().decode(errors="replace")}


def act_get(host, port, path):
    link = http.client.HTTPConnection(host, int(port), timeout=5)
    link.request("GET", path)
    answer = link.getresponse()
    return {"status": answer.status, "body": answer.read().decode(errors="replace")}


def act_tcp(host, port, seconds="2"):
    """One line to an echo server and back."""
    try:
        with socket.create_connection((host, int(port)), float(seconds)) as link:
            link.settimeout(float(seconds))
            link.sendall(b"hello\n")
            return {"ok": link.recv(64) == b"hello\n"}
    except OSError as problem:
        return {"ok": False, "why": str(problem)}


def act_udp(host, port, seconds="1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(float(seconds))
        try:
            link.sendto(b"hello", (host, int(port)))
            return {"ok": link.recv(64) == b"hello"}
        except OSError as problem:
            return {"ok": False, "why": str(problem)}


def act_socks_udp(proxy, port, host, target_port):
    """SOCKS5 UDP ASSOCIATE (RFC 1928), one datagram to an echo server and back."""
    version = 6 if ":" in host else 4
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    address = b"\0\0\0" + (b"\4" if version == 6 else b"\1") + socket.inet_pton(family, host)
    address += int(target_port).to_bytes(2, "big")
    with socket.create_connection((proxy, int(port)), 5) as control:
        control.settimeout(5)
        control.sendall(b"\5\1\0")
        check(control.recv(2) == b"\5\0", "no authentication is taken")
        control.sendall(b"\5\3\0\1\0\0\0\0\0\0")
        reply = control.recv(10)
        check(reply[:4] == b"\5\0\0\1", reply)
        relay = socket.inet_ntop(socket.AF_INET, reply[4:8]), int.from_bytes(reply[8:10], "big")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(1)
            link.sendto(address + b"hello", relay)
            try:
                return {"ok": link.recv(256) == address + b"hello"}
            except OSError as problem:
                return {"ok": False, "why": str(problem)}


def act_http_load(host, port, name, seconds):
    """GETs over one kept connection, which may be made anew between requests; how many, and how many failed."""
    end, requests, failed, link = time.monotonic() + float(seconds), 0, 0, None
    while time.monotonic() < end:
        link = link or http.client.HTTPConnection(host, int(port), timeout=5)
        try:
            link.request("GET", "/", headers={"Host": name})
            answer = link.getresponse()
            answer.read()
            requests += 1
            failed += answer.status != 200
            if answer.will_close:
                link.close()
                link = None
        except (OSError, http.client.HTTPException):
            failed += 1
            link = None
    return {"requests": requests, "failed": failed}


def act_tell(*ports):
    """Backends that answer with what they were asked. Run until they are killed."""
    import http.server
    import threading

    class Tell(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def tell(self):
            size = 0
            if self.headers.get("Transfer-Encoding") == "chunked":
                while (n := int(self.rfile.readline().split(b";")[0], 16)) > 0:
                    size += len(self.rfile.read(n))
                    self.rfile.readline()
                while self.rfile.readline() not in (b"\r\n", b""):
                    pass
            else:
                size = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            body = json.dumps({"port": self.server.server_address[1], "method": self.command, "target": self.path,
                               "headers": {k.lower(): v for k, v in self.headers.items()}, "body": size}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_HEAD = tell

        def log_message(self, *_):
            pass

    for port in map(int, ports):
        server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Tell)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print('"ready"', flush=True)
    signal.pause()


def act_origin(*ports):
    """A real origin: HTTP on 8080, TCP and UDP echo on the given ports, both families. Runs until it is killed."""
    import selectors

    sockets = selectors.DefaultSelector()
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for port in (8080, *map(int, ports)):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                one = socket.socket(family, kind)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    one.listen(64)
                sockets.register(one, selectors.EVENT_READ, ("listen" if kind == socket.SOCK_STREAM else "udp", port))
    print('"ready"', flush=True)
    while True:
        for key, _ in sockets.select():
            what, port = key.data
            if what == "udp":
                data, peer = key.fileobj.recvfrom(2048)
                key.fileobj.sendto(data, peer)
            elif what == "listen":
                link, _ = key.fileobj.accept()
                sockets.register(link, selectors.EVENT_READ, ("http" if port == 8080 else "echo", port))
            else:
                try:
                    data = key.fileobj.recv(65536)
                    if data and what == "http":
                        data = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\norigin"
                    if data:
                        key.fileobj.sendall(data)
                except OSError:
                    data = b""
                if not data or what == "http":
                    sockets.unregister(key.fileobj)
                    key.fileobj.close()


if __name__ == "__main__":
    ACTIONS = {"connect": act_connect, "get": act_get, "tcp": act_tcp, "udp": act_udp, "socks_udp": act_socks_udp,
               "http_load": act_http_load, "tell": act_tell, "origin": act_origin}
    print(json.dumps(ACTIONS[sys.argv[1]](*sys.argv[2:])))
