"""systemctl reload: a good file is taken over, a bad one is refused, and both are seen."""

import re

import clients
from box import wait_for

GOOD = """
[limits]
message_size = "200"

[[alert]]
name = "box-alert"
window = "realtime"
field = "value"
statistic = "max"
above = 5.0
level = "warning"
message = "above five"
"""


def reloading(case):
    box = case.box
    pid = case.restart()
    since = box.now()

    case.configure(GOOD)
    box.systemctl("reload", "flumen.service")
    taken = box.said("reloaded", since)["MESSAGE"]
    assert clients.metric("flumen_config_last_reload_successful") == 1

    # Nearly right, and on line 3: message_sizes.
    case.configure('\n[limits]\nmessage_sizes = "300"\n')
    since = box.now()
    failed = box.systemctl("reload", "flumen.service", check=False)
    assert failed.returncode != 0, "systemctl reload says that all is well"
    refused = box.said("refused", since)
    why = box.said("message_sizes", since)
    assert re.search(r"flumen\.toml:3:1", " ".join(str(entry["MESSAGE"]) for entry in box.journal(since))), why
    wait_for("the metric of a refused reload", lambda: clients.metric("flumen_config_last_reload_successful") == 0)

    # What was in force still is: a message of more than 200 bytes ends the connection.
    clients.expect_limited("message_size")
    assert box.show("MainPID", "ActiveState") == [str(pid), "active"]
    case.configure(case.shipped_config())
    box.systemctl("reload", "flumen.service")
    wait_for("the metric of a good reload", lambda: clients.metric("flumen_config_last_reload_successful") == 1)
    return f"good: {taken!r}; bad: systemctl fails, {refused['MESSAGE']!r}; the old limits stay in force"


CHECKS = [reloading]
