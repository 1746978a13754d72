"""flumen against DuckDB: the same events, every kind of window, every result and every value in it compared.

A deterministic stream with disorder, duplicates, bursts, silences and instants that lie exactly on boundaries
goes to the daemon over one WebSocket; DuckDB reads the very same events from a file and computes the same
windows in SQL, exactly: all numbers are multiples of 2^-44, so sums and squares are sums of integers there.

Counts, extremes, event types and top sources must be equal; sums and means within 1e-12 of the sum (mean) of
absolute values; standard deviations within 1e-9 (relative); quantiles within 1 % of the order statistic of
rank floor(q*(n-1)), and equal to it up to 16 values; distinct counts equal up to 1,024, then within 4 x 0.81 %.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

import duckdb
import httpx
import websockets

DEADLINE = 240  # seconds for everything; SIGALRM then ends this, and the daemon with it
MINUTES = 40
MAX_DELAY_MS = 4_500  # below time.watermark_delay: nothing is ever late
DAY_MS = 86_400_000
PER_MESSAGE = 100
SHOWN = 4
FIELDS = ["value", "latency", "a.b"]
QUANTILES = {"p50": 50, "p95": 95, "p99": 99}
EXACT_QUANTILES, QUANTILE_ERROR = 16, 0.01
EXACT_DISTINCT, DISTINCT_ERROR = 1_024, 4 * 0.0081
SUM_ERROR = 1e-12
# For `a.b` too (1e12 give or take 3), though a naive sum of squares would lose everything there: differences of
# such neighbours are exact in f64, so an algorithm that works on differences from a value near the mean
# (flumen's does, and says so) owes nothing to the magnitude.
STD_ERROR = 1e-9

SETTINGS = """
[time]
watermark_delay = "5s"
idle_timeout = "1h" # a client that is held up must not let event time pass
[publish]
history = 1000000
history_bytes = "1GiB"
"""
# Name, kind, and the other keys of a [[window]].
WINDOWS = [
    ("ten-seconds", "tumbling", {"size": "10s"}),
    ("minute-by-source", "tumbling", {"size": "60s", "group_by": ["source"]}),
    ("minute-by-region-type", "tumbling", {"size": "60s", "group_by": ["region", "type"]}),
    ("sliding-distinct", "sliding", {"size": "300s", "slide": "60s", "distinct": ["user_id"]}),
    ("sliding-by-rack", "sliding", {"size": "50s", "slide": "20s", "group_by": ["metadata.rack"], "fields": ["value"]}),
    ("slow-actions", "tumbling", {"size": "60s", "where": "type == 'user_action' and latency >= 20"}),
    ("session-by-source", "session", {"gap": "20s", "group_by": ["source"]}),
    ("session-by-type", "session", {"gap": "1500ms", "group_by": ["type"]}),
]
WINDOWS = [{"name": name, "kind": kind} | keys for name, kind, keys in WINDOWS]
WHERE_IN_SQL = {"slow-actions": "type = 'user_action' AND latency >= 20"}


def instants(rng, start, count):
    """Event times (ms): a steady flow with bursts, lulls of few events, and silences."""
    shapes = {"steady": (20, 90, 1.0), "burst": (2, 8, 6.0), "lull": (10, 40, 0.02), "silence": (12, 45, 0.0)}
    segments, at, end = [], start, start + MINUTES * 60_000
    while at < end:
        shape = rng.choice(list(shapes))
        least, most, density = shapes[shape]
        length = min(round(rng.uniform(least, most) * 1_000), end - at)
        segments.append((at, length, density))
        at += length
    weights = [length * density for _, length, density in segments]
    for at, length, _ in rng.choices(segments, weights, k=count):
        ms = at + rng.randrange(length)
        if rng.random() < 0.01:  # the first and the last millisecond of a window
            ms = ms // 10_000 * 10_000 - rng.randrange(2)
        yield ms
    # Into silences: events of a session's gap apart, and of one millisecond more.
    for at, length, density in segments:
        if density == 0 and length > 11_000:
            yield from (at + 2_000, at + 3_500, at + 5_001, at + 6_501, at + 8_002)


def number(x):
    """A multiple of 2^-44 next to x; beyond 512 every f64 is one."""
    return round(x * 2**44) / 2**44


def make_event(rng, ms, start, sources, weights, source=None):
    seconds = (ms - start) / 1_000
    while source is None:  # each comes and goes with a period of its own, so that its sessions end
        name, period, pause, phase = rng.choices(sources, cum_weights=weights)[0]
        if (seconds + phase) % period >= pause:
            source = name
    data = {"unit": "x"}
    if rng.random() < 0.95:
        value = 40 * math.sin(seconds / 50) + rng.gauss(20, 15)
        data["value"] = 0 if rng.random() < 0.03 else number(value)
    if rng.random() < 0.4:
        data["latency"] = 20 if rng.random() < 0.02 else number(rng.lognormvariate(3, 0.9))
    if rng.random() < 0.5:
        data["a"] = {"b": 1e12 + rng.gauss(0, 3)}
    if rng.random() < 0.6:  # few users at first: distinct counts below and above what is exact
        data["user_id"] = f"u{rng.randrange(800 if seconds < 600 else 5_000)}"
    if rng.random() < 0.9:
        data["region"] = rng.choice(["eu", "us", "asia", "africa"])
    metadata = {"rack": f"r{rng.randrange(8)}"} if rng.random() < 0.98 else {}
    kind = rng.choices(["sensor_data", "user_action", "system_metric"], [6, 3, 1])[0]
    return {"source": source, "type": kind, "timestamp": ms, "data": data, "metadata": metadata}


def make_stream(seed, start, count):
    """The events in the order of their arrival, which is up to MAX_DELAY_MS after their time."""
    rng = random.Random(seed)
    sources = [(f"s{n:02}", rng.uniform(60, 240), rng.uniform(18, 50), 7 * n) for n in range(60)]
    weights = list(itertools.accumulate(1 / n**1.1 for n in range(1, len(sources) + 1)))
    events = [make_event(rng, ms, start, sources, weights) for ms in instants(rng, start, count)]
    # A source whose events are exactly a session's gap apart, now and then a millisecond more.
    for ms in itertools.accumulate((20_000 + (rng.random() < 0.3) for _ in range(MINUTES * 3 - 1)), initial=start):
        events.append(make_event(rng, ms, start, sources, weights, source="edge"))
    events += rng.sample(events, len(events) // 100)
    arrivals = sorted((event["timestamp"] + rng.randrange(MAX_DELAY_MS + 1), n) for n, event in enumerate(events))
    return [events[n] for _, n in arrivals]


def load(events, folder):
    """DuckDB with the table `event`, read from the JSON that the daemon gets."""
    path = os.path.join(folder, "events.ndjson")
    with open(path, "w") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)
    db = duckdb.connect(config={"autoinstall_known_extensions": False})
    db.execute(f"""
        CREATE TABLE event AS
        SELECT timestamp AS ms, source, type, data.region AS region, metadata.rack AS "metadata.rack",
               data.user_id AS user_id, data.value AS value, data.latency AS latency, data.a.b AS "a.b"
        FROM read_json('{path}', format = 'newline_delimited', columns = {{
            source: 'VARCHAR', type: 'VARCHAR', timestamp: 'BIGINT', metadata: 'STRUCT(rack VARCHAR)',
            data: 'STRUCT(value DOUBLE, latency DOUBLE, a STRUCT(b DOUBLE), user_id VARCHAR, region VARCHAR)'}})""")
    for field in FIELDS:  # The integers are the numbers.
        wrong = f'SELECT * FROM event WHERE ("{field}" * 2^44)::HUGEINT::DOUBLE / 2^44 <> "{field}"'
        assert not db.execute(wrong).fetchall(), field
    assert db.execute("SELECT count(*) FROM event").fetchone() == (len(events),)
    return db


def milliseconds(text):
    return int(text[:-2]) if text.endswith("ms") else int(text[:-1]) * 1_000


def members_sql(window):
    """A row for each window (start, stop) and group `g` that an event belongs to."""
    dimensions = ", ".join(f'"{name}"' for name in window.get("group_by", []))
    chosen = f"""SELECT *, [{dimensions}]::VARCHAR[] AS g FROM event
                 WHERE {WHERE_IN_SQL.get(window["name"], "true")}"""
    if window["kind"] == "tumbling":
        size = milliseconds(window["size"])
        return f"SELECT *, ms // {size} * {size} AS start, ms // {size} * {size} + {size} AS stop FROM ({chosen})"
    if window["kind"] == "sliding":
        size, slide = milliseconds(window["size"]), milliseconds(window["slide"])
        return f"""
            WITH bounds AS (SELECT min(ms) // {slide} AS low, max(ms) // {slide} AS high FROM event),
            starts AS (SELECT unnest(generate_series(low - {size} // {slide}, high)) * {slide} AS start FROM bounds)
            SELECT *, start + {size} AS stop FROM ({chosen}) JOIN starts ON start <= ms AND ms < start + {size}"""
    gap = milliseconds(window["gap"])
    return f"""
        WITH first AS (
            SELECT *, ms - lag(ms) OVER (PARTITION BY g ORDER BY ms) <= {gap} AS follows FROM ({chosen})),
        numbered AS (
            SELECT *, sum(CASE WHEN follows THEN 0 ELSE 1 END)
                      OVER (PARTITION BY g ORDER BY ms ROWS UNBOUNDED PRECEDING) AS session FROM first)
        SELECT *, min(ms) OVER (PARTITION BY g, session) AS start,
               max(ms) OVER (PARTITION BY g, session) + {gap} AS stop FROM numbered"""


def expected(db, window):
    """{(start, stop, group): the result} by the definition of each statistic."""
    db.execute(f"CREATE OR REPLACE TEMP TABLE member AS {members_sql(window)}")
    results = {}
    rows = db.execute("""
        SELECT start, stop, g, count(*), histogram(type), histogram(source), count(DISTINCT user_id)
        FROM member GROUP BY start, stop, g""").fetchall()
    for start, stop, group, count, types, sources, users in rows:
        top = sorted(sources.items(), key=lambda item: (-item[1], item[0]))[:10]
        key = (start, stop, tuple(group))
        results[key] = {"event_count": count, "event_types": types, "top_sources": top, "fields": {}, "users": users}
    for field in window.get("fields", FIELDS):
        # quantile_disc has another rank (ceil(q*n) - 1), hence the list; stddev_pop rounds, hence the squares of
        # integers about an integer next to the mean.
        ranks = ", ".join(f"sorted[(n - 1) * {percent} // 100 + 1]" for percent in QUANTILES.values())
        rows = db.execute(f"""
            WITH x AS (SELECT start, stop, g, "{field}" AS x, ("{field}" * 2^44)::HUGEINT AS i
                       FROM member WHERE "{field}" IS NOT NULL),
            one AS (SELECT start, stop, g, count(*) AS n, sum(i) AS total, sum(abs(i)) AS size, min(x) AS low,
                           max(x) AS high, list_sort(list(x)) AS sorted, sum(i) // count(*) AS middle
                    FROM x GROUP BY start, stop, g),
            two AS (SELECT x.start, x.stop, x.g, sum((i - middle) * (i - middle)) AS squares, sum(i - middle) AS rest
                    FROM x JOIN one ON x.start = one.start AND x.stop = one.stop AND x.g IS NOT DISTINCT FROM one.g
                    GROUP BY x.start, x.stop, x.g)
            SELECT start, stop, g, n, total::DOUBLE / 2^44, size::DOUBLE / 2^44, low, high,
                   sqrt((squares::DOUBLE - rest::DOUBLE * rest::DOUBLE / n) / n) / 2^44, {ranks}
            FROM one JOIN two USING (start, stop, g)""").fetchall()
        names = ["count", "sum", "size", "min", "max", "std", *QUANTILES]
        for start, stop, group, *stats in rows:
            results[start, stop, tuple(group)]["fields"][field] = dict(zip(names, stats))
    return results


@contextlib.contextmanager
def running(folder, windows):
    """A daemon with these windows: the address for events and that for everything else."""
    config, addresses, log = (os.path.join(folder, name) for name in ("flumen.toml", "addresses", "log"))
    with open(config, "w") as file:
        file.write(SETTINGS)
        for window in windows:
            file.write("[[window]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in window.items()))
    listen = ["--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    command = [os.environ["FLUMEN"], "serve", "--config", config, "--addresses-file", addresses, *listen]
    with open(log, "w") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
    try:
        while not os.path.exists(addresses):
            if process.poll() is not None:
                sys.exit("the daemon did not start:\n" + open(log).read())
            time.sleep(0.02)
        with open(addresses) as file:
            found = dict(line.strip().split("=") for line in file)
        yield f"ws://{found['ingest']}/ws/ingest?ack=1", f"http://{found['http']}"
    finally:
        process.kill()
        process.wait()


async def send(url, frames, accepted):
    """All frames without waiting for any; at the same time the answers, up to the ack of the last one."""
    async with websockets.connect(url, compression=None, ping_timeout=None) as socket:

        async def frames_out():
            for frame in frames:
                await socket.send(frame)

        async def answers_in():
            async for text in socket:
                answer = json.loads(text)
                assert answer["type"] in ("ack", "backpressure"), answer
                if answer.get("seq") == len(frames):
                    assert (answer["accepted"], answer["rejected"]) == (accepted, 0), answer
                    return
            raise AssertionError("the connection ended before the last ack")

        await asyncio.gather(frames_out(), answers_in())


def fetch(url, expected_counts):
    """Each window's results, once there are as many as expected and no more come."""
    before, patience = None, time.monotonic() + 60
    while True:
        lists = {name: f"{url}/api/aggregates/{name}?limit=10000" for name in expected_counts}
        got = {name: httpx.get(url, timeout=30).raise_for_status().json() for name, url in lists.items()}
        counts = {name: len(results) for name, results in got.items()}
        enough = all(counts[name] >= count for name, count in expected_counts.items())
        if enough and counts == before or time.monotonic() > patience:
            return got  # what is missing is for the comparison to say
        before = counts
        time.sleep(0.5)


class Comparison:
    """Differences, how much was compared, and the worst error of what may be inexact."""

    def __init__(self, window):
        self.window, self.results, self.values, self.differences = window, 0, 0, []
        self.worst = {"sum": 0.0, "std": 0.0, "quantile": 0.0, "distinct": 0.0}

    def same(self, where, got, want):
        self.values += 1
        if got != want:
            self.differences.append(f"{where}: flumen has {got!r}, DuckDB {want!r}")

    def near(self, where, got, want, size, tolerance, kind):
        """`got` is within `tolerance * size` of `want`."""
        self.values += 1
        error = 0.0 if got == want else abs(got - want) / size if size else math.inf
        self.worst[kind] = max(self.worst[kind], error)
        if not error <= tolerance:
            said = f"{where}: flumen has {got!r}, DuckDB {want!r}, error {error:.3g}, allowed {tolerance:.3g}"
            self.differences.append(said)

    def key(self, result):
        names = self.window.get("group_by", [])
        start, stop = round(result["window_start"] * 1_000), round(result["window_end"] * 1_000)
        key = (start, stop, tuple(result["group"].get(name) for name in names))
        shape = {"window": self.window["name"], "kind": self.window["kind"], "group": dict(zip(names, key[2]))}
        shape |= {"window_start": start / 1_000, "window_end": stop / 1_000, "final": True, "revision": 0}
        for member, want in (shape | {"partial": None}).items():
            self.same(f"{self.say(key)} {member}", result.get(member), want)
        return key

    def say(self, key):
        group = ", ".join("null" if name is None else name for name in key[2])
        return f"{self.window['name']} [{key[0] / 1_000:.3f}, {key[1] / 1_000:.3f}) {{{group}}}"

    def compare(self, got, want):
        found = {}
        for result in got:
            key = self.key(result)
            if key in found:
                self.differences.append(f"{self.say(key)}: flumen has it twice")
            found[key] = result
        for key in sorted(found.keys() | want.keys(), key=self.say):
            if key in found and key in want:
                self.results += 1
                self.result(self.say(key), found[key], want[key])
            else:
                only, count = ("flumen", found[key]) if key in found else ("DuckDB", want[key])
                self.differences.append(f"{self.say(key)}: only {only} has it, with {count['event_count']} events")

    def result(self, where, got, want):
        self.same(f"{where} event_count", got["event_count"], want["event_count"])
        self.same(f"{where} event_types", got["event_types"], want["event_types"])
        self.same(f"{where} top_sources", [(s["source"], s["count"]) for s in got["top_sources"]], want["top_sources"])
        distinct = got.get("distinct", {})
        self.same(f"{where} distinct", list(distinct), self.window.get("distinct", []))
        for users in distinct.values():
            tolerance = 0 if want["users"] <= EXACT_DISTINCT else DISTINCT_ERROR
            self.near(f"{where} distinct", users, want["users"], want["users"], tolerance, "distinct")
        self.same(f"{where} fields", sorted(got["aggregates"]), sorted(want["fields"]))
        for field in sorted(got["aggregates"].keys() & want["fields"].keys()):
            self.field(f"{where} {field}", got["aggregates"][field], want["fields"][field])

    def field(self, where, got, want):
        for member in ("count", "min", "max"):
            self.same(f"{where} {member}", got[member], want[member])
        n, size = want["count"], want["size"]
        self.near(f"{where} sum", got["sum"], want["sum"], size, SUM_ERROR, "sum")
        self.near(f"{where} avg", got["avg"], want["sum"] / n, size / n, SUM_ERROR, "sum")
        self.near(f"{where} std", got["std"], want["std"], want["std"], STD_ERROR, "std")
        tolerance = 0 if n <= EXACT_QUANTILES else QUANTILE_ERROR
        for name in QUANTILES:
            self.near(f"{where} {name}", got[name], want[name], abs(want[name]), tolerance, "quantile")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--start", type=int, help="first event time, ms since 1970 (default: two days ago)")
    parser.add_argument("--only", help="names of windows, separated by commas")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that the daemon ends too
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done after {DEADLINE} s"))
    signal.alarm(DEADLINE)

    windows = [w for w in WINDOWS if not options.only or w["name"] in options.only.split(",")]
    start = options.start or int(time.time() * 1_000) - 2 * DAY_MS
    events = make_stream(options.seed, start, options.events)
    print(f"{len(events)} events, --events {options.events} --seed {options.seed} --start {start}", flush=True)
    with tempfile.TemporaryDirectory(prefix="flumen-differential-") as folder:
        db = load(events, folder)
        wanted = {window["name"]: expected(db, window) for window in windows}
        counts = {name: len(results) for name, results in wanted.items()}
        assert all(0 < count < 10_000 for count in counts.values()), counts  # the API lists 10,000
        frames = [json.dumps(events[at : at + PER_MESSAGE]) for at in range(0, len(events), PER_MESSAGE)]
        # The last one closes every window; its own stay open.
        frames.append(json.dumps({"source": "end", "type": "end", "timestamp": start + DAY_MS, "data": {}}))
        with running(folder, windows) as (ingest, http):
            began = time.monotonic()
            asyncio.run(send(ingest, frames, len(events) + 1))
            took = time.monotonic() - began
            got = fetch(http, counts)
            counted = httpx.get(f"{http}/api/stats").json()["events"]
    fates = dict.fromkeys(("filtered", "late", "rejected", "dropped", "in_flight"), 0)
    fates |= {"received": len(events) + 1, "applied": len(events) + 1}
    found = {name: counted[name] for name in fates}
    differences = [] if found == fates else [f"/api/stats: flumen has {found}, expected {fates}"]

    row = "{:<22} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}"
    print(row.format("window", "results", "values", "differ", "sum", "std", "quantile", "distinct"))
    for window in windows:
        comparison = Comparison(window)
        comparison.compare(got[window["name"]], wanted[window["name"]])
        differences += comparison.differences[:SHOWN]
        worst = [f"{error:.1e}" if error else "0" for error in comparison.worst.values()]
        differ = len(comparison.differences)
        print(row.format(window["name"], comparison.results, comparison.values, differ, *worst))
    if differences:
        print(f"the first {SHOWN} differences of each window:", *differences, sep="\n")
        sys.exit(1)
    print(f"ok: nothing differs; sent and acknowledged in {took:.1f} s")


if __name__ == "__main__":
    main()
