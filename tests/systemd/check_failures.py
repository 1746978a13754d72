"""What systemd does when the daemon hangs, dies or cannot start."""

import socket
import time

import clients
from box import wait_for
from hang import hang

WATCHDOG_S = 3


def watchdog(case):
    """Whichever stage hangs, the daemon is killed and comes back."""
    box = case.box
    case.drop_in("watchdog", f"[Service]\nWatchdogSec={WATCHDOG_S}s\n")
    took = []
    for name in ["ingest-0", "parse-0", "window-0", "publish"]:
        pid = case.restart()
        since = box.now()
        began = time.monotonic()
        wait_for_end = hang(box.outside(pid), name)
        case.hangs += 1
        box.said("Watchdog timeout", since)
        after_s = time.monotonic() - began
        wait_for_end()
        box.said("Failed with result 'watchdog'", since)
        case.back_after(pid, f"the service comes back after {name} hung")
        took.append(f"{name} {after_s:.1f} s")
    case.no_drop_ins()
    case.restart()
    return f"WatchdogSec={WATCHDOG_S}s, killed after: {', '.join(took)}; back each time"


def killed(case):
    box = case.box
    pid = case.restart()
    began = time.monotonic()
    box.run("kill", "-KILL", str(pid))
    case.back_after(pid, "the service comes back after kill -9")
    return f"answers again {time.monotonic() - began:.1f} s after kill -9"


def bad_configuration(case):
    """A file that cannot be read right is not tried again and again."""
    box = case.box
    box.systemctl("stop", "flumen.service")
    since = box.now()
    case.configure("[ingest]\nlisten = 8000\n")
    assert box.systemctl("start", "flumen.service", check=False).returncode != 0, "systemctl start says that all is well"
    # Not "failed" for a moment between two starts, but for good: systemd says so.
    state, sub, result, code, restarts = box.show("ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts")
    assert (state, sub, result, code, restarts) == ("failed", "failed", "exit-code", "78", "0"), (state, sub, result, code, restarts)
    said = " ".join(str(entry["MESSAGE"]) for entry in box.journal(since))
    assert "flumen.toml:2:" in said and "ingest.listen" in said, said
    assert "Scheduled restart" not in said, said
    case.configure(case.shipped_config())
    case.restart()
    return "exit code 78 stays down, not restarted once; file, line and key are in the journal"


def port_taken(case):
    """A failure that may pass is tried again, up to the unit's limit; then it stays down."""
    box = case.box
    assert box.show("StartLimitBurst", "StartLimitIntervalUSec") == ["20", "5min"]
    case.drop_in("quick", "[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=100ms\n")
    box.systemctl("stop", "flumen.service")
    box.systemctl("reset-failed", "flumen.service", check=False)
    since = box.now()
    with socket.create_server(clients.INGEST, reuse_port=False):
        box.systemctl("start", "flumen.service", check=False)
        wait_for("systemd gives up", lambda: box.show("ActiveState", "SubState") == ["failed", "failed"])
    said = [str(entry["MESSAGE"]) for entry in box.journal(since)]
    assert any("Start request repeated too quickly" in line for line in said), said
    why = next(line for line in said if "8000" in line)
    case.no_drop_ins()
    case.restart()
    return f"three starts, then down: {why!r}"


CHECKS = [watchdog, killed, bad_configuration, port_taken]
