"""Upgrade, removal and purge. The last checks: nothing is left after them."""

import re
import shutil

import clients
from check_install import files
from case import CONFIG


def upgrading(case):
    box = case.box
    edited = case.shipped_config().replace('message_size = "1MiB"', 'message_size = "200"')
    assert edited != case.shipped_config()
    case.configure(edited)
    pid = box.main_pid()
    # An operator who has more than one question to answer would be asked; this one has not.
    box.run("apt-get", "install", "--yes", case.upgrade, input="")
    version = box.run("dpkg-query", "--show", "--showformat=${Version}", "flumen").stdout
    assert version in case.upgrade, version
    new = case.back_after(pid, "the service is restarted by the upgrade")
    assert box.path(CONFIG).read_text() == edited, "the edited configuration was replaced"
    clients.expect_limited("the edited configuration")
    return f"to {version}: process {pid} became {new}, the edited file is kept and in force"


def upgrade_leaves_disabled_alone(case):
    """Who has disabled and stopped the service finds it so after an upgrade."""
    box = case.box
    box.systemctl("disable", "--now", "flumen.service")
    box.run("apt-get", "install", "--yes", "--reinstall", case.upgrade)
    assert box.show("ActiveState") == "inactive"
    assert box.systemctl("is-enabled", "flumen.service", check=False).stdout.strip() == "disabled"
    # The socket in use goes on listening through an upgrade, and the service comes back.
    box.systemctl("enable", "flumen.service")
    box.systemctl("enable", "--now", "flumen.socket")
    box.systemctl("start", "flumen.service")
    loop = clients.Loop(clients.send_one)
    box.run("apt-get", "install", "--yes", "--reinstall", case.upgrade)
    loop.stop()
    assert loop.done > 0 and not loop.failed, (loop.done, loop.failed)
    assert box.systemctl("is-enabled", "flumen.socket").stdout.strip() == "enabled"
    return f"disabled stays disabled; with the socket enabled {loop.done} connections during an upgrade, none lost"


def removing(case):
    box = case.box
    pid = box.main_pid()
    assert pid, "it runs before"
    box.run("apt-get", "remove", "--yes", "flumen")
    state = box.run("systemctl", "show", "flumen.service", "flumen.socket", "--property=ActiveState").stdout
    assert set(state.split()) == {"ActiveState=inactive"}, state
    assert box.run("kill", "-0", str(pid), check=False).returncode != 0, "the process is still there"
    assert box.path(CONFIG).exists(), "remove keeps the configuration"
    return "stopped, with its socket; the configuration is still there"


def purging(case):
    box = case.box
    box.run("apt-get", "purge", "--yes", "flumen")
    left = files(box) - case.files_before
    assert not left, sorted(left)
    missing = case.files_before - files(box)
    assert not missing, sorted(missing)
    for unit in ["flumen.service", "flumen.socket"]:
        status = box.systemctl("status", unit, check=False)
        assert status.returncode == 4 and "could not be found" in status.stderr, status
    assert box.run("getent", "passwd", "flumen", check=False).returncode == 2, "the user is still there"
    known = box.run("dpkg-query", "--show", "--showformat=${Status}", "flumen", check=False).stdout
    assert not re.search("installed|config-files", known.replace("not-installed", "")), known
    return "no file, no unit, no user, no state: /etc, /usr, /opt and /var as before"


def from_source(case):
    """The recipe in the README, without the package: its commands, word for word, as root."""
    box = case.box
    readme = (case.checkout / "README.md").read_text()
    recipe, undo = re.findall(r"```sh\n(.*?)```", readme[readme.index("from source:") :], re.DOTALL)[:2]
    assert "cargo build --release\n" in recipe, recipe
    source = box.path("/tmp/source")
    shutil.copytree(case.checkout / "systemd", source / "systemd")
    (source / "target/release").mkdir(parents=True)
    shutil.copy(case.checkout / "target/package/build/release/flumen", source / "target/release")

    def follow(commands):
        commands = commands.replace("cargo build --release\n", "").replace("sudo ", "")
        box.run("bash", "-euc", f"cd /tmp/source\n{commands}")

    follow(recipe)
    clients.send_one()
    assert box.systemctl("is-enabled", "flumen").stdout.strip() == "enabled"
    follow(undo)
    left = files(box) - case.files_before
    assert not left, sorted(left)
    return "installed and running, and gone again, with the README's own commands"


def only_asked_for_restarts(case):
    """In all the time above the watchdog has killed nobody that was not made to hang."""
    killed = [entry for entry in case.box.journal() if "result 'watchdog'" in str(entry["MESSAGE"])]
    assert len(killed) == case.hangs, (len(killed), case.hangs)
    return f"{case.hangs} hangs, {len(killed)} kills"


CHECKS = [upgrading, upgrade_leaves_disabled_alone, removing, purging, from_source, only_asked_for_restarts]
