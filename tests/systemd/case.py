"""What the checks share: the box with the package, and an operator's hands."""

import shutil

import clients
from box import wait_for

CONFIG = "/etc/flumen/flumen.toml"
DROP_INS = "/etc/systemd/system/flumen.service.d"


class Case:
    def __init__(self, box, checkout, package, upgrade):
        self.box = box
        # Of the project, out here.
        self.checkout = checkout
        # The packages' paths inside the box.
        self.package, self.upgrade = [self._bring(path) for path in (package, upgrade)]
        # Names of files before the package came, for the end.
        self.files_before = None
        # Every restart by the watchdog was asked for by a check.
        self.hangs = 0

    def _bring(self, path):
        shutil.copy(path, self.box.path(f"/tmp/{path.name}"))
        return f"/tmp/{path.name}"

    def configure(self, text):
        self.box.write(CONFIG, text)

    def shipped_config(self):
        """The configuration as the package brings it."""
        return self.box.run("sh", "-c", f"dpkg-deb --fsys-tarfile {self.package} | tar -xO ./etc/flumen/flumen.toml").stdout

    def drop_in(self, name, text):
        self.box.write(f"{DROP_INS}/{name}.conf", text)
        self.box.systemctl("daemon-reload")

    def no_drop_ins(self):
        self.box.run("rm", "-rf", DROP_INS)
        self.box.systemctl("daemon-reload")

    def restart(self):
        """Restarts as an operator would; answers at once when systemctl returns. The main process id."""
        # The checks start more often than the unit's limit allows a real one.
        self.box.systemctl("reset-failed", "flumen.service", check=False)
        self.box.systemctl("restart", "flumen.service")
        clients.send_one()
        return self.box.main_pid()

    def back_after(self, pid, what):
        """Waits until systemd has started a process other than `pid` that answers. The main process id."""
        def look():
            now, state = self.box.show("MainPID", "ActiveState")
            return int(now) if int(now) not in (0, pid) and state == "active" else None

        new = wait_for(what, look)
        clients.send_one()
        return new

    def mended(self):
        """After a check that failed: as installed. Whether that was possible."""
        try:
            self.no_drop_ins()
            self.configure(self.shipped_config())
            self.box.systemctl("disable", "--now", "flumen.socket")
            self.restart()
            return True
        except Exception:
            return False
