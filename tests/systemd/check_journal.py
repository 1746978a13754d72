"""The journal: priorities are right, one line is one message, nothing strange is in it."""

ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6


def ours(entries):
    return [entry for entry in entries if entry.get("_COMM") == "flumen"]


def priorities(case):
    box = case.box
    since = box.now()
    case.restart()
    box.said("ingest", since)
    started = ours(box.journal(since))
    assert started and all(int(entry["PRIORITY"]) == INFO for entry in started if "8000" in entry["MESSAGE"]), started

    # A warning: the daemon goes on, but somebody should look.
    since = box.now()
    case.configure("[limits]\nmessage_sizes = 1\n")
    box.systemctl("reload", "flumen.service", check=False)
    warning = box.said("refused", since)
    assert int(warning["PRIORITY"]) == WARNING, warning
    case.configure(case.shipped_config())

    # An error, from a file that tries to write to the terminal of whoever reads the log.
    since = box.now()
    case.configure('[ingest]\n"li\\u001b[31msten" = 1\n')
    box.systemctl("restart", "flumen.service", check=False)
    box.said("flumen.toml:2", since)
    errors = [entry for entry in ours(box.journal(since)) if "flumen.toml" in str(entry["MESSAGE"])]
    assert errors and all(int(entry["PRIORITY"]) == ERROR for entry in errors), errors
    case.configure(case.shipped_config())
    case.restart()
    return f"info {INFO}: addresses; warning {WARNING}: {warning['MESSAGE']!r}; error {ERROR}: {errors[0]['MESSAGE']!r}"


def clean_lines(case):
    """Of everything the daemon has said in all checks."""
    entries = ours(case.box.journal())
    for entry in entries:
        # What is not text journalctl gives as a list of bytes.
        message = entry["MESSAGE"]
        assert isinstance(message, str), message
        assert message and message.isprintable(), repr(message)
        assert not message.startswith("<"), f"a prefix that the journal did not take: {message}"
        assert not message.startswith(("flumen: ", "20")), f"name or time twice: {message}"
        assert "PRIORITY" in entry, entry
    assert len(entries) > 50, len(entries)
    return f"{len(entries)} lines of the daemon, each with a priority and nothing but text"


CHECKS = [priorities, clean_lines]
