# SPDX-License-Identifier: AGPL-3.0-only
"""Where things lie, which ports are used, and what a caller of the harness may choose."""

import dataclasses
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def default_base():
    """Peers give up root and must still reach their own files, so root's home is no place for them."""
    if os.geteuid() == 0:
        return "/var/cache/marchproxy-bench"
    return os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "marchproxy-bench")


BASE = os.environ.get("MP_BENCH_CACHE", default_base())
ROOT, ROOT13 = BASE + "/root", BASE + "/root13"  # unpacked packages: of this suite of Debian, of the next

# Ports of the origin; the same in every run, since namespaces (or loopback addresses) are the run's own.
OP, OTLS, UDP, UCTL, IPERF = 7980, 7943, 7953, 7954, 7990
SAME = {"l4": OP, "h1": OP, "iperf": IPERF, "udp": UDP, "tls": OTLS}
CAPS = ["l4", "iperf", "udp", "h1", "tls", "fwd", "socks"]
NHOSTS = 16


def raise_file_limit():
    """@return descriptors that a child may have open"""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted in (1 << 20, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return wanted
        except (ValueError, OSError):
            continue
    return hard


NOFILE = raise_file_limit()


@dataclasses.dataclass
class Options:
    """Chosen once, before anything is started."""

    pin: bool = True
    cpu_proxy: str = "1"
    cpu_load: str = "0"
    idle: int = min(10000, NOFILE // 2 - 1000)  # connections of the idle workloads; each takes two descriptors
    warm: float = 0.3  # seconds before each measurement
    tools: str = str(HERE.parents[2] / "build" / os.environ.get("PRESET", "release") / "tests/bench/harness")


options = Options()


class RunDirectory:
    """Files of one run of the harness; removed at its end."""

    path = ""

    def make(self):
        self.path = tempfile.mkdtemp(prefix="marchproxy-bench-")
        os.chmod(self.path, 0o755)  # some peers give up root
        sh(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "3650", "-subj", "/CN=pf.test", "-addext", "subjectAltName=DNS:pf.test",
            "-keyout", self.path + "/ec.key", "-out", self.path + "/ec.crt"])
        with open(self.path + "/ec.pem", "w") as both:
            for part in ("ec.crt", "ec.key"):
                both.write(pathlib.Path(self.path, part).read_text())

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


run_directory = RunDirectory()



def log(*a):
    print(*a, file=sys.stderr, flush=True)


def sh(cmd, check=True):
    r = subprocess.run(cmd, shell=isinstance(cmd, str), capture_output=True, text=True)
    if check and r.returncode:
        raise RuntimeError(f"{cmd}: {r.stderr.strip()[-400:]}")
    return r.stdout
