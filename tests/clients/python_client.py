"""Python's websockets sends every form of event; httpx-sse reads the results; each is compared with an
exact computation over the recorded input.

Counts and extremes must be equal, sums within 1e-12, standard deviations within 1e-9 (relative), quantiles
within 1 % of the exact order statistic of rank floor(q*(n-1)).
"""

import asyncio
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import httpx
import httpx_sse
import msgpack
import websockets

PATIENCE = 60
PER_MODE = 3000
MODES = ["text", "binary", "array", "ndjson", "msgpack", "msgpack array", "no acks"]

CONFIG = """
[time]
idle_timeout = "1s"
[[window]]
name = "realtime"
kind = "tumbling"
size = "10s"
[[window]]
name = "minute"
kind = "tumbling"
size = "1m"
"""


class Daemon:
    def __init__(self, text=CONFIG):
        self.dir = tempfile.TemporaryDirectory(prefix="flumen-python-")
        config, addresses = (os.path.join(self.dir.name, n) for n in ("flumen.toml", "addresses"))
        with open(config, "w") as file:
            file.write(text)
        listen = ["--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        command = [os.environ["FLUMEN"], "serve", "--config", config, "--addresses-file", addresses, *listen]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait_for("the addresses file", lambda: os.path.exists(addresses))
        with open(addresses) as file:
            found = dict(line.strip().split("=") for line in file)
        self.ws, self.http = f"ws://{found['ingest']}/ws/ingest", f"http://{found['http']}"

    def get(self, path):
        return httpx.get(self.http + path, timeout=PATIENCE).raise_for_status().json()

    def stop(self):
        self.process.terminate()
        _, said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, said
        self.dir.cleanup()


def wait_for(what, look):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class Stream(threading.Thread):
    """Reads /stream/metrics with a real SSE client until the daemon ends."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.url, self.windows, self.unnamed, self.kinds = daemon.http + "/stream/metrics", [], [], set()
        self.start()
        wait_for("the subscriber", lambda: daemon.get("/api/stats")["sse_subscribers"] == 1)

    def run(self):
        with httpx.Client(timeout=None) as client:
            with httpx_sse.connect_sse(client, "GET", self.url) as source:
                for event in source.iter_sse():
                    self.kinds.add(event.event)
                    if event.event == "window":
                        self.windows.append(json.loads(event.data))
                    elif event.event == "message":
                        self.unnamed.append(json.loads(event.data))


def make_events(base):
    """The recorded input: a time range for each mode, with less disorder than the watermark waits for."""
    rng = random.Random(7)
    shapes = [
        lambda: rng.gauss(50, 5),
        lambda: 1e9 + rng.uniform(-1e-3, 1e-3),
        lambda: rng.lognormvariate(0, 3),
        lambda: -rng.paretovariate(1.5),
        lambda: float(rng.randrange(-5, 5)),
        lambda: rng.uniform(-1, 1) * 1e-12,
        lambda: rng.choice([1e16, 1.0, -1e16]),
    ]
    for number, mode in enumerate(MODES):
        events = []
        for n in range(PER_MODE):
            at = base + 20 * number + 20 * n / PER_MODE - rng.uniform(0, 3)
            data = {"unit": "x", "ok": rng.random() < 0.5, "nested": {"n": rng.randrange(100)}}
            for index in rng.sample(range(len(shapes)), 3):
                data[f"f{index}"] = shapes[index]()
            events.append({"source": f"s{rng.randrange(30)}", "type": rng.choice("abc"), "timestamp": at, "data": data})
        yield mode, events


def encode(mode, events):
    if mode in ("text", "no acks"):
        return [json.dumps(event) for event in events]
    if mode == "binary":
        return [json.dumps(event).encode() for event in events]
    if mode == "msgpack":
        return [msgpack.packb(event) for event in events]
    batches = [events[at : at + 100] for at in range(0, len(events), 100)]
    if mode == "array":
        return [json.dumps(batch) for batch in batches]
    if mode == "ndjson":
        return ["\n".join(json.dumps(event) for event in batch) + "\n" for batch in batches]
    assert mode == "msgpack array"
    return [msgpack.packb(batch) for batch in batches]


async def send(daemon, mode, frames, events):
    if mode == "no acks":
        async with websockets.connect(daemon.ws) as socket:
            for frame in frames:
                await socket.send(frame)
        return
    subprotocol = ["flumen.ingest.v1"] if mode == "binary" else None
    url = daemon.ws if subprotocol else daemon.ws + "?ack=1"
    async with websockets.connect(url, subprotocols=subprotocol) as socket:
        if subprotocol:
            assert socket.subprotocol == "flumen.ingest.v1"
        for frame in frames:
            await socket.send(frame)
        while True:
            answer = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
            if answer["type"] == "ack" and answer["seq"] == len(frames):
                assert (answer["accepted"], answer["rejected"]) == (len(events), 0), answer
                return


def numeric(data, prefix=""):
    for name, value in data.items():
        if isinstance(value, dict):
            yield from numeric(value, f"{prefix}{name}.")
        elif isinstance(value, (bool, int, float)):
            yield prefix + name, float(value)


def expected(events, size):
    """The exact answer: every event kept, sorted, summed without rounding."""
    windows = {}
    for event in events:
        micros = round(event["timestamp"] * 1e6)
        start = micros // (size * 1_000_000) * size
        window = windows.setdefault(start, {"count": 0, "fields": {}, "types": {}, "sources": {}})
        window["count"] += 1
        for counter, key in ((window["types"], event["type"]), (window["sources"], event["source"])):
            counter[key] = counter.get(key, 0) + 1
        for name, value in numeric(event["data"]):
            window["fields"].setdefault(name, []).append(value)
    return windows


def near(what, got, want, tolerance):
    assert abs(got - want) <= tolerance, f"{what}: {got} is not within {tolerance} of {want}"


def compare(result, window):
    name = f"{result['window']} {result['window_start']}"
    assert result["final"] is True and result["revision"] == 0 and result["group"] == {}, name
    assert result["event_count"] == window["count"], name
    assert result["event_types"] == window["types"], name
    ranked = sorted(window["sources"].items(), key=lambda item: (-item[1], item[0]))[:10]
    assert [(s["source"], s["count"]) for s in result["top_sources"]] == ranked, name
    assert set(result["aggregates"]) == set(window["fields"]), name
    for field, values in window["fields"].items():
        got, what, n = result["aggregates"][field], f"{name} {field}", len(values)
        assert (got["count"], got["min"], got["max"]) == (n, min(values), max(values)), what
        total, magnitude = math.fsum(values), math.fsum(map(abs, values))
        near(f"{what} sum", got["sum"], total, 1e-12 * max(abs(total), magnitude * 1e-12))
        near(f"{what} avg", got["avg"], total / n, 1e-12 * max(abs(total / n), magnitude / n * 1e-12))
        std = statistics.pstdev(values)
        near(f"{what} std", got["std"], std, 1e-9 * std)
        values.sort()
        for quantile in (0.5, 0.95, 0.99):
            order_statistic = values[math.floor(quantile * (n - 1))]
            tolerance = 0.01 * abs(order_statistic) if n > 16 else 0
            near(f"{what} p{quantile}", got[f"p{int(quantile * 100)}"], order_statistic, tolerance)


def main():
    daemon = Daemon()
    try:
        check(daemon)
    finally:
        daemon.process.kill()


def check(daemon):
    stream = Stream(daemon)
    base = math.floor(time.time() / 60) * 60 - 600
    everything = []
    for mode, events in make_events(base):
        asyncio.run(send(daemon, mode, encode(mode, events), events))
        everything += events
        # The next mode's events are later ones: these must be in before.
        wait_for(mode, lambda: daemon.get("/api/stats")["events"]["applied"] == len(everything))

    wanted = {"realtime": expected(everything, 10), "minute": expected(everything, 60)}
    total = sum(len(windows) for windows in wanted.values())
    wait_for("all windows to close", lambda: len(stream.windows) >= total)
    for name, windows in wanted.items():
        results = {r["window_start"]: r for r in stream.windows if r["window"] == name}
        assert set(results) == set(windows), (sorted(results), sorted(windows))
        for start, window in windows.items():
            compare(results[start], window)
        assert daemon.get(f"/api/aggregates/{name}?limit=1000") == [r for r in stream.windows if r["window"] == name]
    assert stream.unnamed == [r for r in stream.windows if r["window"] == "realtime"]
    assert {"window", "message", "stats", "live"} <= stream.kinds, stream.kinds

    stats = daemon.get("/api/stats")
    counted = stats["events"]
    assert counted["received"] == counted["applied"] == len(everything), counted
    assert counted["late"] == counted["rejected"] == counted["dropped"] == counted["in_flight"] == 0, counted
    assert stats["processor"]["total_events"] == len(everything)
    assert sum(stats["event_types"].values()) == len(everything)
    daemon.stop()
    fields = sum(len(w["fields"]) for windows in wanted.values() for w in windows.values())
    print(f"ok: {len(everything)} events in {len(MODES)} forms, {total} windows, {fields} fields compared")


if __name__ == "__main__":
    sys.exit(main())
