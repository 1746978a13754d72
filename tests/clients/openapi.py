"""Every answer of a real daemon is what /openapi.json says: its status is listed there, its body, its content
type and its headers are as described, and nothing else is in it. Everything the document lists is provoked,
events of the stream and messages of the ingest port included.

Each body is checked twice: as it came, and spoilt in every place at once by one (a member more, a value of
another type), which the document has to refuse; so a schema that says nothing is found.
"""

import asyncio
import contextlib
import copy
import json
import re
import socket
import threading
import time
from datetime import datetime

import httpx
import httpx_sse
import jsonschema
import openapi_spec_validator
import websockets
from python_client import PATIENCE, Daemon, wait_for

CONFIG = """
[http]
sse_clients = 3
[time]
watermark_delay = "0s"
idle_timeout = "200ms"
[[window]]
name = "realtime"
kind = "tumbling"
size = "100ms"
[[window]]
name = "sliding"
kind = "sliding"
size = "4s"
slide = "1s"
group_by = ["source", "metadata.rack"]
distinct = ["metadata.rack"]
[[window]]
name = "session"
kind = "session"
gap = "1s"
group_by = ["source"]
allowed_lateness = "1h"
where = "type == 'sensor_data'"
fields = ["value"]
[[alert]]
name = "hot"
window = "realtime"
field = "value"
statistic = "max"
above = 80.0
level = "warning"
message = "hot: {value:.1}"
"""
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
FORMATS = jsonschema.FormatChecker(formats=[])


@FORMATS.checks("date-time", raises=ValueError)
def is_date_time(text):
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


class Document:
    def __init__(self, document):
        openapi_spec_validator.validate(document)
        self.document, self.seen, self.checks, self.spoilt = document, set(), 0, 0
        # All parts refer to each other, so each schema brings the components along.
        self.components = {"components": document["components"]}
        self.examples(document)

    def resolve(self, part):
        while "$ref" in part:
            target = self.document
            for step in part["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            part = target
        return part

    def validator(self, schema):
        return jsonschema.Draft202012Validator({**self.components, "allOf": [schema]}, format_checker=FORMATS)

    def examples(self, part):
        """What the document shows is what it says."""
        if isinstance(part, dict):
            if "schema" in part:
                shown = [part["example"]] if "example" in part else []
                shown += [example["value"] for example in part.get("examples", {}).values()]
                for value in shown:
                    self.validator(part["schema"]).validate(value)
            if isinstance(part.get("examples"), list):
                for value in part["examples"]:
                    self.validator(part).validate(value)
            for inner in part.values():
                self.examples(inner)
        elif isinstance(part, list):
            for inner in part:
                self.examples(inner)

    def check(self, name, schema, value):
        """The value is as the schema says, and nothing near it is."""
        validator = self.validator(schema)
        try:
            validator.validate(value)
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{name}: at {error.json_path}: {error.message}") from None
        self.checks += 1
        if schema == {"type": "object"}:
            return  # The document itself, which the validator of documents has judged.
        for where, spoilt in spoil(value):
            assert not validator.is_valid(spoilt), f"{name}: the schema lets anything pass at {where}: {spoilt}"
            self.spoilt += 1

    def answer(self, method, path, status, headers, body):
        """One real answer to a path of the document."""
        name = f"{method} {path} {status}"
        responses = self.document["paths"][path][method.lower()]["responses"]
        assert str(status) in responses, f"{name}: not described; {sorted(responses)} are: {body[:200]!r}"
        self.seen.add((method, path, str(status)))
        response = self.resolve(responses[str(status)])
        for header, described in response.get("headers", {}).items():
            assert header in headers or not described.get("required"), f"{name}: no {header}: {headers}"
        if method == "HEAD" or "content" not in response:
            return
        media = headers["content-type"].split(";")[0]
        assert media in response["content"], f"{name}: {media} is not described"
        if media == "application/json":
            self.check(name, response["content"][media]["schema"], json.loads(body))

    def codes(self, method, path, status):
        """The codes of an error that the document lists."""
        response = self.resolve(self.document["paths"][path][method.lower()]["responses"][str(status)])
        parts = response["content"]["application/json"]["schema"]["allOf"]
        return {code for part in parts if "properties" in part
                for code in part["properties"]["error"]["properties"]["code"]["enum"]}

    def unseen(self):
        for path, item in self.document["paths"].items():
            for method in {"get", "post", "put"} & set(item):
                for status in item[method]["responses"]:
                    if (method.upper(), path, status) not in self.seen:
                        yield f"{method.upper()} {path} {status}"


def spoil(value, where="$"):
    """Each place of a value made wrong in turn."""

    def others(inner, key, at):
        for place, spoilt in spoil(inner, at):
            changed = copy.copy(value)
            changed[key] = spoilt
            yield place, changed

    odd = [{}]  # No member is a list of such objects.
    if isinstance(value, dict):
        yield where, odd
        yield where + ".undocumented", {**value, "undocumented": odd}
        for key, inner in value.items():
            yield from others(inner, key, f"{where}.{key}")
    elif isinstance(value, list):
        yield where, {}
        for at, inner in list(enumerate(value))[:2]:
            yield from others(inner, at, f"{where}[{at}]")
    else:
        yield where, odd


def ask(document, daemon, method, path, url=None, **more):
    got = httpx.request(method, daemon.http + (url or path), timeout=PATIENCE, **more)
    document.answer(method, path, got.status_code, got.headers, got.text)
    return got


def paths(document, daemon):
    """All statuses of all paths but the stream."""
    for path in document.document["paths"]:
        if path in ("/ws/ingest", "/stream/metrics"):
            continue
        url = path.replace("{window}", "sliding").replace("{file}", "dashboard.js")
        got = ask(document, daemon, "GET", path, url)
        assert got.status_code == 200
        head = httpx.head(daemon.http + url, timeout=PATIENCE)
        assert (head.status_code, head.text) == (200, "")
        assert head.headers["content-type"] == got.headers["content-type"], path
        for method in ("DELETE",) if path == "/api/rules" else ("POST", "PUT", "DELETE"):
            denied = httpx.request(method, daemon.http + url, timeout=PATIENCE)
            # A refused method is described with GET, which every path has.
            document.answer("GET", path, denied.status_code, denied.headers, denied.text)
            assert denied.status_code == 405, path
    for file in ("dashboard.html", "dashboard.css"):
        ask(document, daemon, "GET", "/static/{file}", f"/static/{file}")
    ask(document, daemon, "GET", "/static/{file}", "/static/nothing")
    for window in ("realtime", "sliding", "session"):
        path = "/api/aggregates/{window}"
        assert ask(document, daemon, "GET", path, f"/api/aggregates/{window}?limit=1000").json(), window
    ask(document, daemon, "GET", path, "/api/aggregates/hourly")
    ask(document, daemon, "GET", path, "/api/aggregates/sliding?group=type")
    for path in ("/api/aggregates/{window}", "/api/alerts", "/api/deadletters", "/api/late"):
        ask(document, daemon, "GET", path, path.replace("{window}", "sliding") + "?limit=0")
    for path in ("/api/alerts", "/api/deadletters", "/api/late"):
        assert ask(document, daemon, "GET", path).json(), f"{path} has something to show"
    missing = httpx.get(daemon.http + "/nowhere")
    assert missing.status_code == 404
    not_found = document.document["components"]["responses"]["NotFound"]["content"]["application/json"]
    document.check("GET /nowhere", not_found["schema"], missing.json())


def rules(document, daemon):
    examples = document.document["paths"]["/api/rules"]["post"]["requestBody"]["content"]["application/json"]
    is_json = {"Content-Type": "application/json"}
    for method in ("POST", "PUT"):
        def send(status, content, headers):
            got = ask(document, daemon, method, "/api/rules", content=content, headers=headers)
            assert got.status_code == status, got.text
            return got

        for example in examples["examples"].values():
            send(200, json.dumps(example["value"]), is_json)
        send(200, "{}", is_json)
        # What the document does not allow is refused, and what it allows is not.
        for bad in ({"filter": []}, {"filters": [{"field": "v"}]}, {"filters": [{"field": "", "min": 1}]},
                    {"max_age_seconds": 0}, {"filters": {}}, {"sensor_threshold": "x"}):
            assert not document.validator(examples["schema"]).is_valid(bad), bad
            send(400, json.dumps(bad), is_json)
        send(400, "[", is_json)
        # A page elsewhere, a page whose name has been made to point here, and a program that was told that name.
        in_force, told = daemon.get("/api/rules"), set()
        for code, foreign in (
            ("foreign_origin", {"Origin": "http://elsewhere.example"}),
            ("foreign_host", {"Origin": "http://elsewhere.example", "Host": "elsewhere.example"}),
            ("foreign_host", {"Host": "elsewhere.example:8001"}),
        ):
            got = send(403, json.dumps({"max_age_seconds": 1}), {**is_json, **foreign})
            assert got.json()["error"]["code"] == code, got.text
            told.add(code)
        assert daemon.get("/api/rules") == in_force, "nothing has changed"
        assert told == document.codes(method, "/api/rules", 403), "each documented code has been seen"
        send(413, "x" * 70_000, is_json)
        send(415, "{}", {"Content-Type": "text/plain"})
    denied = httpx.delete(daemon.http + "/api/rules")
    for method in ("POST", "PUT"):  # Described with each of them.
        document.answer(method, "/api/rules", denied.status_code, denied.headers, denied.text)


def stream(document, daemon):
    """Reads the stream until each of its events has come, all being as described; and what it refuses."""
    path = "/stream/metrics"
    described = document.document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
    # An id that is to come: a gap is told.
    with httpx.stream("GET", daemon.http + path, headers={"Last-Event-ID": "999999"}, timeout=PATIENCE) as got:
        document.answer("GET", path, got.status_code, got.headers, "")
        wanted, last = set(described["x-events"]), -1
        for event in httpx_sse.EventSource(got).iter_sse():
            assert event.event in described["x-events"], event.event
            document.check(f"{path} {event.event}", described["x-events"][event.event], json.loads(event.data))
            assert int(event.id) > last or event.event == "gap"
            last = max(last, int(event.id))
            wanted.discard(event.event)
            if not wanted:
                break
    wait_for("the reader to be gone", lambda: daemon.get("/api/stats")["sse_subscribers"] == 0)
    # As many as are allowed: one more is refused.
    with contextlib.ExitStack() as streams:
        for _ in range(3):
            streams.enter_context(httpx.stream("GET", daemon.http + path, timeout=PATIENCE))
        assert ask(document, daemon, "GET", path).status_code == 503
    ask(document, daemon, "GET", path, path + "?events=odd")
    denied = httpx.post(daemon.http + path)
    document.answer("GET", path, denied.status_code, denied.headers, denied.text)


def ingest_socket(daemon):
    host, port = re.match(r"ws://(.*):(\d+)/", daemon.ws).groups()
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def refused_upgrades(document, daemon):
    """What the ingest port says to those who do not come for a WebSocket."""
    cases = {
        "": 426,
        UPGRADE.replace("13", "8") + KEY: 426,
        UPGRADE: 400,
        UPGRADE + KEY + "Content-Length: 5\r\n": 400,
        UPGRADE + KEY + KEY: 400,
        UPGRADE + KEY + "Host: localhost\r\nHost: localhost\r\n": 400,
        UPGRADE + KEY + "Origin: http://elsewhere.example\r\n": 403,
        # Of the host it talks to, which anybody may have made point here.
        UPGRADE + KEY + "Host: elsewhere.example\r\nOrigin: http://elsewhere.example\r\n": 403,
        "X: " + "x" * 20_000 + "\r\n": 431,
        "".join(f"X{n}: x\r\n" for n in range(200)): 431,
        UPGRADE + KEY: 101,
    }
    for headers, status in cases.items():
        with ingest_socket(daemon) as connection:
            host = "" if "Host: " in headers else "Host: localhost\r\n"
            connection.sendall(f"GET /ws/ingest HTTP/1.1\r\n{host}{headers}\r\n".encode())
            answer = connection.recv(4096).decode()
        head, body = answer.split("\r\n\r\n", 1)
        first, *lines = head.split("\r\n")
        got = httpx.Headers([line.split(": ", 1) for line in lines])
        assert int(first.split()[1]) == status, answer
        document.answer("GET", "/ws/ingest", status, got, body)


class Sender(threading.Thread):
    """Sends a bit of everything until it is told to stop; messages of the daemon are as described."""

    def __init__(self, document, daemon):
        super().__init__(daemon=True)
        self.document, self.daemon, self.stop, self.error = document, daemon, threading.Event(), None
        described = document.document["paths"]["/ws/ingest"]["get"]["responses"]["101"]["x-messages"]
        self.described, self.seen = described, set()

    def run(self):
        try:
            asyncio.run(self.send())
        except Exception as error:  # To be raised where it is seen.
            self.error = error

    async def send(self):
        event_schema = self.document.validator({"$ref": "#/components/schemas/Event"})
        async with websockets.connect(self.daemon.ws + "?ack=1") as ws:
            seq = 0
            while not self.stop.is_set():
                now = time.time()
                part = seq // 60  # About half a second: sessions end, the alert comes and goes.
                event = {"source": f"s{part}", "type": "sensor_data", "timestamp": now,
                         "data": {"value": 50 + 40 * (part % 2), "unit": "celsius", "a": {"b": True}},
                         "metadata": {"rack": "r7"} if seq % 2 else None}
                late = {**event, "timestamp": now - 600, "type": "system_metric"}
                for good in (event, late):
                    event_schema.validate(good)
                bad = {k: v for k, v in event.items() if k != "source"}
                assert not event_schema.is_valid(bad)
                for frame in (event, [late, event], bad):
                    await ws.send(json.dumps(frame))
                seq += 3
                while True:
                    message = json.loads(await ws.recv())
                    self.document.check("message", self.described[message["type"]], message)
                    self.seen.add(message["type"])
                    if message.get("seq", 0) >= seq and message["type"] == "ack":
                        break
                await asyncio.sleep(0.02)


def drain(document, daemon):
    """While it drains it says so; a client that does not answer the close keeps it for half a second."""
    with ingest_socket(daemon) as silent:
        silent.sendall(f"GET /ws/ingest HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{KEY}\r\n".encode())
        assert silent.recv(4096).startswith(b"HTTP/1.1 101")
        daemon.process.terminate()
        wanted = {"/health", "/health/ready"}
        while wanted:
            for path in list(wanted):
                if ask(document, daemon, "GET", path).status_code == 503:
                    wanted.discard(path)


def main():
    daemon = Daemon(CONFIG)
    try:
        check(daemon)
    finally:
        daemon.process.kill()


def check(daemon):
    document = Document(httpx.get(daemon.http + "/openapi.json").json())
    sender = Sender(document, daemon)
    sender.start()

    def something_everywhere():
        lists = [f"aggregates/{name}" for name in ("realtime", "sliding", "session")] + ["alerts", "late"]
        return sender.error or all(daemon.get(f"/api/{name}") for name in lists)

    wait_for("results, alerts and late events", something_everywhere)
    stream(document, daemon)
    paths(document, daemon)
    rules(document, daemon)
    refused_upgrades(document, daemon)
    sender.stop.set()
    sender.join(PATIENCE)
    if sender.error:
        raise sender.error
    drain(document, daemon)
    daemon.stop()
    assert sender.seen >= {"ack", "error"}, sender.seen
    unseen = list(document.unseen())
    assert not unseen, f"described and never answered: {unseen}"
    print(f"{len(document.seen)} answers of {len(document.document['paths'])} paths, {document.checks} bodies as "
          f"described, {document.spoilt} spoilt ones refused")


if __name__ == "__main__":
    main()
