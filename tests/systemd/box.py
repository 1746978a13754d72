"""A machine with a real systemd, to install into and to break: see boot for how it is made.

Known limits of the box, none of which the tests depend on: it has no cpu and memory controller and no
CAP_SYS_RESOURCE beyond the caller's, so MemoryMax=, CPUWeight= and AllowedCPUs= do nothing, and LimitNOFILE= is
clamped to what the caller has.
"""

import ctypes
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
PATIENCE_S = 60.0


class NotPossible(Exception):
    """This machine does not allow a box; the text says why."""


def wait_for(what, look, patience_s=PATIENCE_S):
    """Waits until look() gives something true, and returns it. Reaching the end of patience is a failure."""
    deadline = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience_s:.0f} s in vain: {what}")
        time.sleep(0.05)


def cgroup_root():
    """Where cgroup 2 is mounted: at the usual place, or below it where cgroup 1 has that."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(place)
    raise NotPossible("no cgroup 2 is mounted")


class Box:
    def __init__(self):
        self.unshare = None
        self.init = None
        self.cgroup = None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flumen-box-"))
        try:
            self._boot()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def check():
        """Raises NotPossible with the reason where no box can be made."""
        if os.geteuid() != 0:
            raise NotPossible("needs root, for namespaces and an overlay of /")
        for tool, package in [
            ("/lib/systemd/systemd", "systemd"),
            ("/usr/sbin/ip", "iproute2"),
            ("/usr/bin/unshare", "util-linux"),
            ("/usr/bin/dpkg", "dpkg"),
        ]:
            if not os.path.exists(tool):
                raise NotPossible(f"{tool} is missing: install Debian's package {package}")
        cgroup_root()
        flags = ["--mount", "--propagation", "private", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup"]
        # /run, because the overlay's upper side has to be on memory; it vanishes with the namespace.
        script = (
            "mount -t tmpfs x /run && mkdir /run/u /run/w /run/r && "
            "mount -t overlay -o lowerdir=/,upperdir=/run/u,workdir=/run/w x /run/r"
        )
        tried = subprocess.run(["unshare", *flags, "sh", "-c", script], capture_output=True, text=True)
        if tried.returncode != 0:
            raise NotPossible(f"namespaces or overlays are not permitted here: {tried.stderr.strip()}")

    def _boot(self):
        self.cgroup = cgroup_root() / self.folder.name
        self.cgroup.mkdir()
        self.console = open(self.folder.with_suffix(".log"), "w+")
        self.unshare = subprocess.Popen(
            [str(HERE / "boot"), str(self.folder), str(self.cgroup)],
            stdin=subprocess.DEVNULL,
            stdout=self.console,
            stderr=self.console,
            start_new_session=True,
            # Nobody to take the box away: then it goes by itself.
            preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        self.init = wait_for("a first process", self._find_init)
        state = wait_for("the box has booted", self._boot_state)
        if state != "running":
            raise AssertionError(f"the box is {state}:\n{self.systemctl('--failed').stdout}")
        # Sockets made from here on are in the box's network; files and processes stay where they are.
        with open(f"/proc/{self.init}/ns/net") as namespace:
            if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def _find_init(self):
        if self.unshare.poll() is not None:
            self.console.seek(0)
            raise AssertionError(f"the box did not start: {self.console.read()}")
        children = pathlib.Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text().split()
        for child in children:
            if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        return None

    def _boot_state(self):
        state = self.systemctl("is-system-running", check=False).stdout.strip()
        return state if state in ("running", "degraded", "maintenance") else None

    def path(self, inside):
        """Where the box's file is, seen from here."""
        return pathlib.Path(f"/proc/{self.init}/root") / inside.lstrip("/")

    def write(self, inside, text):
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *command, check=True, **options):
        """A command in the box, as root."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            # The namespaces by name: not the user's, which is the same.
            ["nsenter", "-t", str(self.init), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w", *command],
            env=env,
            capture_output=True,
            text=True,
            **options,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def systemctl(self, *words, check=True):
        return self.run("systemctl", *words, check=check)

    def show(self, *names, unit="flumen.service"):
        """Properties of a unit; one value for one name, a list for several."""
        text = self.run("systemctl", "show", unit, *[f"--property={name}" for name in names]).stdout
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        found = [values.get(name, "") for name in names]
        return found[0] if len(found) == 1 else found

    def main_pid(self):
        """The daemon's process id inside the box; 0 when there is none."""
        return int(self.show("MainPID"))

    def outside(self, pid):
        """The process id here of the box's process `pid`."""
        namespace = os.readlink(f"/proc/{self.init}/ns/pid")
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                ids = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()[1:]
                if ids[-1] == str(pid) and os.readlink(status.parent / "ns/pid") == namespace:
                    return int(ids[0])
            except (OSError, StopIteration):
                continue
        raise AssertionError(f"no process {pid} in the box")

    def journal(self, since=0, unit="flumen.service"):
        """The unit's entries of the journal: the daemon's own and systemd's about it, oldest first."""
        text = self.run("journalctl", "--output=json", "--all", "--quiet", f"--unit={unit}").stdout
        entries = [json.loads(line) for line in text.splitlines()]
        return [entry for entry in entries if int(entry["__REALTIME_TIMESTAMP"]) > since]

    def now(self):
        """The end of the journal at this moment, for `since`: everything said before it is written."""
        self.run("journalctl", "--sync")
        return time.time_ns() // 1000

    def said(self, text, since, what=None):
        """Waits for a message of the unit with `text` in it; returns the entry."""
        def look():
            for entry in self.journal(since):
                if text in str(entry["MESSAGE"]):
                    return entry
            return None

        return wait_for(what or f"the journal says {text!r}", look)

    def close(self):
        """Ends the box and takes away everything it needed."""
        if self.unshare is not None:
            # Process 1 first: with it every process of the box ends, and with them its mounts.
            for pid in filter(None, [self.init, self.unshare.pid]):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.unshare.wait()
        if self.cgroup is not None and self.cgroup.exists():
            wait_for("the box's processes end", lambda: self._populated() == "0")
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                os.rmdir(folder)
        if self.folder.exists():
            self.folder.rmdir()
        self.folder.with_suffix(".log").unlink(missing_ok=True)

    def _populated(self):
        events = dict(line.split() for line in (self.cgroup / "cgroup.events").read_text().splitlines())
        return events["populated"]
