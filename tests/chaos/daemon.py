"""The daemon as a process: started with a clock that can be turned, looked at, ended."""

import collections
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "target/reliability"
PATIENCE_S = 60


def wait_for(what, look, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


def faketime():
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        sys.exit("libfaketime is missing: install Debian's package faketime")
    return str(found[0])


class Daemon:
    """A daemon with `config` in `folder`; its log goes to a file there."""

    def __init__(self, flumen, folder, config, clock=True):
        self.folder = Path(folder)
        self.config = self.folder / "flumen.toml"
        self.config.write_text(config)
        self.clock = self.folder / "clock"
        self.turn_clock(0)
        environment = dict(os.environ)
        if clock:
            environment |= {
                "LD_PRELOAD": faketime(),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        addresses = self.folder / "addresses"
        self.log = self.folder / "log"
        command = [flumen, "serve", "--config", self.config, "--addresses-file", addresses]
        command += ["--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen([str(part) for part in command], stderr=log, env=environment)
        self.pid = self.process.pid
        wait_for("the daemon to be ready", lambda: addresses.exists() or self.ended())
        lines = dict(line.split("=") for line in addresses.read_text().split())
        self.ingest, self.http = address(lines["ingest"]), address(lines["http"])

    def ended(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.said()}")

    def said(self):
        return self.log.read_text()

    def turn_clock(self, ahead_s):
        beside = self.folder / "clock.new"
        beside.write_text(f"{ahead_s:+}\n")
        beside.rename(self.folder / "clock")

    def get(self, path, body=None):
        headers = {"Content-Type": "application/json"} if body else {}
        request = urllib.request.Request(f"http://{self.http[0]}:{self.http[1]}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.read().decode()

    def stats(self):
        """The counters; their identity holds at any moment."""
        stats = json.loads(self.get("/api/stats"))
        events = stats["events"]
        ends = sum(events[name] for name in ("applied", "filtered", "late", "rejected", "dropped", "in_flight"))
        assert events["received"] == ends, events
        return stats

    def metric(self, name):
        found = [line for line in self.get("/metrics").splitlines() if line.startswith(name + " ")]
        return float(found[0].split()[1])

    def status(self, name):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith(name + ":")).split()[1])

    def rss_kib(self):
        return self.status("VmRSS")

    def threads(self):
        """By name, how many threads there are; those of the HTTP server behind have the name of their maker."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return dict(sorted(collections.Counter(task.joinpath("comm").read_text().strip() for task in tasks).items()))

    def signal(self, number):
        self.process.send_signal(number)

    def limit_descriptors(self, soft):
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def reload(self, config):
        self.config.write_text(config)
        self.signal(signal.SIGHUP)

    def drain(self):
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()



def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def connect(where, receive_bytes=None):
    """A TCP connection, with little room in the kernel if asked for."""
    stream = socket.socket()
    if receive_bytes:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    stream.settimeout(PATIENCE_S)
    stream.connect(where)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def record(name, figures):
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
