"""The journal: priorities are right, one line is one message, nothing strange is in it."""

import clients

ERROR, WARNING, INFO = 3, 4, 6
# What a stranger might send to forge a line, or to steer the terminal of whoever reads the journal.
HOSTILE = "x\n<0>all is lost \x1b[2J\u202e"

ALERTS = """
[time]
watermark_delay = "100ms"
idle_timeout = "500ms"

[[window]]
name = "by-source"
kind = "tumbling"
size = "1s"
group_by = ["source"]

[[alert]]
name = "loud"
window = "by-source"
field = "value"
statistic = "max"
above = 10.0
level = "warning"
message = "{group} is at {value:.0}"
"""


def ours(entries):
    """The daemon's entries, without systemd's about it."""
    return [entry for entry in entries if entry.get("_SYSTEMD_UNIT") == "flumen.service"]


def priority_of(case, text, since):
    entry = case.box.said(text, since)
    return int(entry["PRIORITY"]), entry["MESSAGE"]


def priorities(case):
    box = case.box
    since = box.now()
    case.configure(ALERTS)
    case.restart()
    info, _ = priority_of(case, "127.0.0.1:8000", since)

    # A warning, with a name that a stranger has chosen.
    sender = clients.Sender()
    sender.send(value=99.0, source=HOSTILE)
    sender.close()
    warning, alert = priority_of(case, "is at 99", since)
    assert "all is lost" in alert and "by-source" in alert, alert

    # An error, from a file that tries the same.
    since = box.now()
    case.configure('[ingest]\n"li\\u001b[31msten" = 1\n')
    box.systemctl("restart", "flumen.service", check=False)
    error, _ = priority_of(case, "flumen.toml:2", since)
    told = [entry for entry in ours(box.journal(since)) if "drain" not in entry["MESSAGE"]]
    assert told and all(int(entry["PRIORITY"]) == ERROR for entry in told), told

    assert (info, warning, error) == (INFO, WARNING, ERROR), (info, warning, error)
    case.configure(case.shipped_config())
    case.restart()
    return f"addresses are info ({info}), an alert of level warning is {warning}, a bad file {error}; {alert!r}"


def clean_lines(case):
    """Of everything the daemon has said in all checks."""
    entries = ours(case.box.journal())
    for entry in entries:
        # What is not text journalctl gives as a list of bytes.
        message = entry["MESSAGE"]
        assert isinstance(message, str), message
        assert message and message.isprintable(), repr(message)
        assert not message.startswith("<"), f"a prefix that the journal did not take: {message}"
        # The check of a reload speaks as on a terminal.
        is_check = message.startswith("flumen: ") and message.endswith(" wrong with the configuration:")
        assert is_check or not message.startswith(("flumen: ", "20")), f"name or time twice: {message}"
        assert int(entry["PRIORITY"]) in (ERROR, WARNING, INFO), entry
    assert entries, "the daemon has said nothing"
    return f"{len(entries)} lines of the daemon, each with a priority and nothing but text"


CHECKS = [priorities, clean_lines]
