"""Installing, and what runs then."""

import os
import re
import time

import clients
from box import wait_for

# systemd's range for DynamicUser=.
DYNAMIC_UIDS = range(61184, 65520)
EXPOSURE_AT_MOST = 1.5


def files(box):
    """Names of all files a package could leave behind; not of logs, which are to stay, and of what apt keeps for
    itself and man for those who have read a page."""
    others = ["/var/log", "/var/lib/apt", "/var/cache/apt", "/var/cache/man"]
    pruned = [word for name in others for word in ("-path", name, "-prune", "-o")]
    text = box.run("find", "/etc", "/usr", "/opt", "/var", *pruned, "-print").stdout
    return set(text.splitlines())


def installing(case):
    box = case.box
    case.files_before = files(box)
    assert box.systemctl("cat", "flumen.service", check=False).returncode != 0, "flumen is there already"
    since = box.now()
    began = time.monotonic()
    box.run("apt-get", "install", "--yes", case.package)
    took_s = time.monotonic() - began
    case.back_after(0, "the service is active after the installation")
    # Between systemd's two lines about it: what dpkg does around them is not the daemon's time.
    starting = box.said("Starting flumen.service", since)
    started = box.said("Started flumen.service", since)
    start_s = (int(started["__MONOTONIC_TIMESTAMP"]) - int(starting["__MONOTONIC_TIMESTAMP"])) / 1e6
    assert start_s < 5, f"{start_s:.2f} s from start to ready"
    assert box.systemctl("is-enabled", "flumen.service").stdout.strip() == "enabled"
    assert box.systemctl("is-enabled", "flumen.socket", check=False).stdout.strip() == "disabled"
    return f"ready {start_s:.2f} s after its start, apt-get done after {took_s:.1f} s; enabled, the socket is not"


def status_text(case):
    """STATUS= of the daemon is what systemctl status shows, and moves."""
    for _ in range(3):
        clients.send_one()
    applied = clients.stats()["events"]["applied"]

    def look():
        text = case.box.systemctl("status", "flumen.service").stdout
        found = re.search(r'^ *Status: "(.+)"$', text, re.MULTILINE)
        return found[1] if found and f"{applied} events applied" in found[1] else None

    return wait_for(f"systemctl status says that {applied} events were applied", look)


def dynamic_user(case):
    box = case.box
    pid = box.outside(box.main_pid())
    uid = os.stat(f"/proc/{pid}").st_uid
    assert uid in DYNAMIC_UIDS, f"the daemon runs as {uid}"
    status = box.run("cat", f"/proc/{box.main_pid()}/status").stdout
    rights = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert rights["CapEff"] == rights["CapBnd"] == "0" * 16, rights
    assert rights["Seccomp"] == "2" and rights["NoNewPrivs"] == "1", rights
    state = box.run("stat", "--format=%u %a", "/var/lib/private/flumen").stdout.split()
    assert state == [str(uid), "700"], state
    return f"user {uid}, no capability, system calls filtered; its state directory is its own"


def process_metrics(case):
    """What the daemon reads in /proc is there under ProtectProc= and ProcSubset=."""
    values = {name: clients.metric(f"process_{name}") for name in [
        "cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds", "threads",
        "start_time_seconds",
    ]}
    assert abs(values["start_time_seconds"] - time.time()) < 3_600, values
    assert values["resident_memory_bytes"] > 1e6 and values["open_fds"] > 5 and values["threads"] > 4, values
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def ready_means_ready(case):
    """As soon as systemctl returns both ports answer, twenty times."""
    for _ in range(20):
        case.box.systemctl("reset-failed", "flumen.service")
        case.box.systemctl("restart", "flumen.service")
        clients.send_one()
        assert clients.stats()["events"]["applied"] == 1
    return "20 restarts: at each both ports answered at the first attempt"


def unit_files(case):
    box = case.box
    # Exit code 0 is not enough: what verify does not know it only mentions.
    verified = box.run("systemd-analyze", "verify", "flumen.service", "flumen.socket")
    assert not verified.stdout + verified.stderr, verified
    text = box.run("systemd-analyze", "security", "--no-pager", "flumen.service").stdout
    exposure = float(re.search(r"Overall exposure level for flumen.service: ([0-9.]+)", text)[1])
    assert exposure <= EXPOSURE_AT_MOST, text
    limit = box.show("LimitNOFILE")
    assert int(limit) >= 20_000, limit
    return f"verify is silent, exposure {exposure}, LimitNOFILE {limit}"


def help_is_installed(case):
    box = case.box
    listed = box.run("dpkg", "--listfiles", "flumen").stdout.splitlines()
    for name in box.show("Documentation").split():
        page = name.strip('"').removeprefix("man:")
        title, section = page.rstrip(")").split("(")
        assert f"/usr/share/man/man{section}/{title}.{section}.gz" in listed, f"{page} of Documentation= is not there"
    for name in ["bash-completion/completions/flumen", "zsh/vendor-completions/_flumen",
                 "fish/vendor_completions.d/flumen.fish"]:
        assert f"/usr/share/{name}" in listed, name
    completed = box.run("bash", "-c", ". /usr/share/bash-completion/completions/flumen && complete -p flumen").stdout
    assert "flumen" in completed
    pages = sum("/man/man" in name and name.endswith(".gz") for name in listed)
    return f"{pages} man pages, completions for three shells"


def pinning(case):
    """The kernel, not only the daemon, says that the threads are pinned."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    case.configure(f"[threads]\ncores = {cores}\n")
    pid = case.box.outside(case.restart())
    stages = [thread for thread in clients.threads().values() if thread["core"] is not None]
    assert len(stages) >= 4 and all(thread["pinned"] for thread in stages), stages
    names = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as comm:
            names[comm.read().strip()] = os.sched_getaffinity(int(task))
    for thread in stages:
        assert names[thread["name"]] == {thread["core"]}, (thread, names)
    case.configure(case.shipped_config())
    return ", ".join(f"{thread['name']} on core {thread['core']}" for thread in stages)


def cores_drop_in(case):
    """The example for cores and real time does what it says, with everything in it switched on."""
    box = case.box
    example = box.path("/usr/share/doc/flumen/examples/cores.conf").read_text()
    cores = sorted(os.sched_getaffinity(0))[:2]
    text = example.replace("CPUAffinity=2 3 4 5", "CPUAffinity=" + " ".join(map(str, cores)))
    assert text != example
    text = re.sub(r"^#(CPUScheduling|LimitRTTIME|MemorySwapMax)", r"\1", text, flags=re.MULTILINE)
    case.drop_in("cores", text)
    verified = box.run("systemd-analyze", "verify", "flumen.service")
    assert not verified.stdout + verified.stderr, verified
    pid = box.outside(case.restart())
    for task in os.listdir(f"/proc/{pid}/task"):
        assert os.sched_getscheduler(int(task)) == os.SCHED_FIFO, task
        assert os.sched_getparam(int(task)).sched_priority == 10, task
        assert os.sched_getaffinity(int(task)) <= set(cores), task
    case.no_drop_ins()
    case.restart()
    return f"every thread is real time (fifo, 10) and on cores {cores}, under RestrictRealtime=yes"


CHECKS = [installing, status_text, dynamic_user, process_metrics, ready_means_ready, unit_files, help_is_installed, pinning, cores_drop_in]
