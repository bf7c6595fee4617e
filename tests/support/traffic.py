# SPDX-License-Identifier: AGPL-3.0-only
"""Clients and servers for the suite, run as programs of their own inside a network namespace. Each prints one JSON value.

  traffic.py ACTION ARGUMENT...
"""

import ctypes
import http.client
import json
import signal
import socket
import sys
import time


def expect(condition, message):
    if not condition:
        raise SystemExit(str(message))


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


def act_get(host, port, path, name=None):
    """@param name  the Host to ask for"""
    link = http.client.HTTPConnection(host, int(port), timeout=5)
    link.request("GET", path, headers={"Host": name} if name else {})
    answer = link.getresponse()
    return {"status": answer.status, "body": answer.read().decode(errors="replace")}


def act_tcp(host, port, seconds="2", chunks="1", size="6"):
    """So many chunks to an echo server and back, one after the other."""
    data = b"hello\n" * (int(size) // 6)
    try:
        with socket.create_connection((host, int(port)), float(seconds)) as link:
            link.settimeout(float(seconds))
            for _ in range(int(chunks)):
                link.sendall(data)
                got = b""
                while len(got) < len(data) and (more := link.recv(65536)):
                    got += more
                if got != data:
                    return {"ok": False, "why": "other bytes came back"}
            return {"ok": True}
    except OSError as problem:
        return {"ok": False, "why": str(problem)}


def act_udp(host, port, seconds="1", size="5"):
    """A datagram of so many bytes to an echo server and back."""
    data = (b"hello" * (int(size) // 5 + 1))[:int(size)]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(float(seconds))
        try:
            link.connect((host, int(port)))  # an answer from elsewhere is none
            link.send(data)
            return {"ok": link.recv(65536) == data}
        except OSError as problem:
            return {"ok": False, "why": str(problem)}


def act_many_udp(source, host, port, count):
    """So many flows from one address, three datagrams each; how many were answered each time."""
    answered = 0
    for i in range(int(count)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.bind((source, 10000 + i % 50000))
            link.settimeout(0.002)
            try:
                for _ in range(3):
                    link.sendto(b"hello", (host, int(port)))
                    link.recv(64)
                answered += 1
            except OSError:
                pass
    return {"answered": answered}


def act_probe(host, port, a_second):
    """Exchanges with an echo server over one TCP connection and one UDP socket, until SIGTERM; how many had no answer
    within a second."""
    told, going = {"tcp": 0, "tcp_lost": 0, "udp": 0, "udp_lost": 0}, [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    pause = 1 / float(a_second)
    with socket.create_connection((host, int(port)), 5) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((host, int(port)))
        for one in (tcp, udp):
            one.settimeout(1)
        print('"up"', flush=True)
        while going:
            for name, link in (("tcp", tcp), ("udp", udp)):
                told[name] += 1
                data = told[name].to_bytes(8, "big")
                try:
                    link.send(data)
                    while link.recv(8) != data:  # one that came too late
                        pass
                except OSError:
                    told[name + "_lost"] += 1
            time.sleep(pause)
    return told


def act_socks_udp(proxy, port, host, target_port):
    """SOCKS5 UDP ASSOCIATE (RFC 1928), one datagram to an echo server and back."""
    version = 6 if ":" in host else 4
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    address = b"\0\0\0" + (b"\4" if version == 6 else b"\1") + socket.inet_pton(family, host)
    address += int(target_port).to_bytes(2, "big")
    with socket.create_connection((proxy, int(port)), 5) as control:
        control.settimeout(5)
        control.sendall(b"\5\1\0")
        expect(control.recv(2) == b"\5\0", "no authentication is taken")
        control.sendall(b"\5\3\0\1\0\0\0\0\0\0")
        reply = control.recv(10)
        expect(reply[:4] == b"\5\0\0\1", reply)
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


def act_https_load(host, port, name, authorities, seconds):
    """As act_http_load, over TLS; and over how many connections."""
    import ssl

    end, told, link = time.monotonic() + float(seconds), {"requests": 0, "failed": 0, "connections": 0}, None
    context = ssl.create_default_context(cafile=authorities)
    while time.monotonic() < end:
        try:
            if link is None:
                told["connections"] += 1
                link = http.client.HTTPConnection(host, int(port), timeout=5)
                link.connect()
                link.sock = context.wrap_socket(link.sock, server_hostname=name)
            link.request("GET", "/", headers={"Host": name})
            answer = link.getresponse()
            answer.read()
            told["requests"] += 1
            told["failed"] += answer.status != 200
        except (OSError, http.client.HTTPException):
            told["failed"] += 1
            link = None
    return told


def act_tls_twice(host, port, name, authorities, version, words):
    """The same words over two TLS connections, the second with the first's session: the answers' beginnings."""
    import ssl

    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    told, session = {"answers": []}, None
    for _ in range(2):
        with socket.create_connection((host, int(port)), 5) as link:
            with context.wrap_socket(link, server_hostname=name, session=session) as secured:
                secured.sendall(words.encode())
                told["answers"].append(secured.recv(4096).decode(errors="replace"))
                told["resumed"], session = secured.session_reused, secured.session
    return told


def act_tell_tls(certificate, key, *ports):
    """As act_tell, over TLS."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    act_tell(*ports, secured=lambda link: context.wrap_socket(link, server_side=True, do_handshake_on_connect=False))


def act_tell(*ports, secured=lambda link: link):
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
        server.socket = secured(server.socket)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print('"ready"', flush=True)
    signal.pause()


def act_whole_packets(interface):
    """Has the kernel finish what it sends by a virtual cable: checksums, and no segments to be cut later. Routers outside the
    kernel see frames as they are."""
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for what in (0x17, 0x1F, 0x24, 0x2C):  # ETHTOOL_STXCSUM, STSO, SGSO, SGRO
            off = bytearray(struct.pack("II", what, 0))
            address = (ctypes.c_char * len(off)).from_buffer(off)
            fcntl.ioctl(any_socket, 0x8946, struct.pack("16sP", interface.encode(), ctypes.addressof(address)))
    return {"ok": True}


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
                data, peer = key.fileobj.recvfrom(65536)
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
    ACTIONS = {"connect": act_connect, "get": act_get, "tcp": act_tcp, "udp": act_udp, "many_udp": act_many_udp, "probe": act_probe, "socks_udp": act_socks_udp,
               "http_load": act_http_load, "https_load": act_https_load, "tell": act_tell, "tell_tls": act_tell_tls, "tls_twice": act_tls_twice,
               "origin": act_origin, "whole_packets": act_whole_packets}
    print(json.dumps(ACTIONS[sys.argv[1]](*sys.argv[2:])))
