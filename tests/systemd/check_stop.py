"""Stopping and restarting while clients send."""

import time

import clients
from box import wait_for


def stop_under_load(case):
    box = case.box
    case.restart()
    before = clients.stats()["events"]["applied"]
    published = clients.Published("minute")
    loads = [clients.Load(number) for number in range(8)]
    wait_for("load", lambda: all(load.acked > 200 for load in loads))
    sent_before = [load.sent for load in loads]
    since = box.now()
    began = time.monotonic()
    box.systemctl("stop", "flumen.service")
    took_s = time.monotonic() - began
    for load in loads:
        load.end()
    published.join(clients.PATIENCE_S)
    assert not published.is_alive(), "the stream of results never ended"
    state, result, code = box.show("ActiveState", "Result", "ExecMainStatus")
    assert (state, result, code) == ("inactive", "success", "0"), (state, result, code)
    for load, sent in zip(loads, sent_before):
        assert load.code == 1001, f"{load.source} was closed with {load.code}"
        assert load.acked >= sent, f"{load.source}: {sent} sent before the stop, {load.acked} acknowledged"
        assert load.rejected == 0
    acked = sum(load.acked for load in loads)
    # The newest revision of each window; what was open goes out as not final.
    newest = {result["window_start"]: result for result in published.results}
    counted = sum(result["event_count"] for result in newest.values())
    assert counted == before + acked, f"{before} + {acked} acknowledged, {counted} in windows"
    drained = box.said("drained", since)["MESSAGE"]
    sent = sum(load.sent for load in loads)
    case.restart()
    return f"{sent} sent, {acked} acknowledged, as many in windows; exit code 0 after {took_s:.2f} s; {drained!r}"


def socket_activation(case):
    box = case.box
    box.systemctl("stop", "flumen.service")
    box.systemctl("enable", "--now", "flumen.socket")
    # The first connection starts the service.
    assert box.show("ActiveState") == "inactive"
    clients.send_one()
    wait_for("systemd has heard that it is ready", lambda: box.show("ActiveState") == "active")
    senders = [clients.Loop(clients.send_one) for _ in range(4)]
    readers = [clients.Loop(lambda: clients.get("/api/stats")) for _ in range(2)]
    loops = senders + readers
    pids = [box.main_pid()]
    for _ in range(5):
        done = [loop.done for loop in loops]
        wait_for("every client gets through", lambda: all(l.done >= d + 5 for l, d in zip(loops, done)))
        box.systemctl("restart", "flumen.service")
        pids.append(box.main_pid())
    done = [loop.done for loop in loops]
    wait_for("every client gets through", lambda: all(l.done >= d + 5 for l, d in zip(loops, done)))
    for loop in loops:
        loop.stop()
    assert len(set(pids)) == 6, pids
    failed = [error for loop in loops for error in loop.failed]
    events, requests = [sum(loop.done for loop in group) for group in (senders, readers)]
    assert not failed, f"{len(failed)} of {events + requests + len(failed)} failed: {sorted(set(failed))}"
    longest_s = max(loop.longest_s for loop in loops)
    box.systemctl("disable", "--now", "flumen.socket")
    case.restart()
    return (
        f"5 restarts: {events} connections each got their event acknowledged, {requests} requests answered, "
        f"none refused or reset; the longest wait {longest_s:.2f} s"
    )


CHECKS = [stop_under_load, socket_activation]
