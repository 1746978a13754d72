"""Clients that are broken, slow or mean, several at once, in an order that a seed decides. Ends when standard input
does, and prints how often it was what, as JSON.

    hostile.py INGEST_HOST INGEST_PORT HTTP_HOST HTTP_PORT SEED WORKERS
"""

import collections
import json
import random
import socket
import struct
import sys
import threading
import time

from daemon import connect
from websocket import BINARY, PING, TEXT, WebSocket, event, frame, request

HOLD_S = 2


class Hostile:
    """One kind of bad behaviour a method; each opens its own connections and leaves nothing behind."""

    def __init__(self, ingest, http, dice, stop):
        self.ingest, self.http, self.dice, self.stop = ingest, http, dice, stop
        self.names = 0

    def raw(self, bytes_, where=None, wait=True):
        stream = connect(where or self.ingest, 16 * 1024)
        stream.settimeout(HOLD_S)
        with stream:
            stream.sendall(bytes_)
            while wait and stream.recv(65536):
                pass

    def name(self):
        self.names += 1
        return f"hostile-{threading.get_ident()}-{self.names}"

    def bad_frames(self):
        head, huge = request(), struct.pack("!BBQ", TEXT, 0xFF, 2**62)
        bad = [
            frame("{}", masked=False), frame("{}", 0xC1), frame("{}", 0x83), frame("x" * 200, PING),
            frame("x", 0x09), huge, frame(b"\xff\xfe"), frame("x", 0x80), frame(b"\x03", 0x88),
        ]
        self.raw(head + self.dice.choice(bad))

    def half_handshake(self):
        whole = request()
        self.raw(whole[: self.dice.randrange(len(whole))])

    def header_flood(self):
        self.raw(request(more="".join(f"X-{n}: {'y' * 100}\r\n" for n in range(400))), self.either())

    def random_bytes(self):
        head = request() if self.dice.random() < 0.5 else b""
        self.raw(head + self.dice.randbytes(self.dice.randrange(1, 5000)), self.either())

    def either(self):
        return self.dice.choice([self.ingest, self.http])

    def bad_events(self):
        client = WebSocket(self.ingest)
        bad = ["{", "[1,2", '{"source":"x"}', '{"source":"x","type":"t","data":{"v":1e999}}', "[" * 200,
               event("x", "t", time.time() + 9e6, v=1), event("y" * 300, "t", time.time(), v=1)]
        for n in range(1, 51):
            client.stream.sendall(frame(self.dice.choice(bad), self.dice.choice([TEXT, BINARY])))
            client.read_ack(n)
        client.close()

    def huge_batch(self):
        now = time.time()
        events = [event(f"batch-{n % 50}", "batch", now, v=n) for n in range(self.dice.randrange(1_000, 12_000))]
        self.raw(request("/ws/ingest?ack=1") + frame("[" + ",".join(events) + "]"))

    def new_names(self):
        client = WebSocket(self.ingest)
        for n in range(1, 6):
            events = [event(self.name(), self.name(), time.time(), **{self.name(): 1}) for _ in range(200)]
            client.send("\n".join(events))
            client.read_ack(n)
        client.close()

    def churn(self):
        for _ in range(20):
            stream = connect(self.ingest)
            if self.dice.random() < 0.7:
                stream.sendall(request() + frame(event("churn", "churn", time.time(), v=1)))
            if self.dice.random() < 0.5:
                # Closed with a reset.
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.close()

    def never_reads(self):
        client = WebSocket(self.ingest, receive_bytes=16 * 1024)
        client.stream.settimeout(HOLD_S)
        for n in range(2_000):
            client.stream.sendall(frame("x" * 100, PING) + frame("{}"))
        self.stop.wait(HOLD_S)
        client.close()

    def stalled_stream(self):
        with connect(self.http, 4096) as stream:
            stream.sendall(b"GET /stream/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.stop.wait(2 * HOLD_S)

    def dawdles(self):
        with connect(self.http) as stream:
            for byte in b"GET /api/stats HTTP/1.1\r\nHost: loc":
                stream.sendall(bytes([byte]))
                if self.stop.wait(0.1):
                    return

    def asks_and_leaves(self):
        for path in (b"/api/stats", b"/metrics", b"/api/deadletters?limit=1000", b"/nothing"):
            with connect(self.http, 4096) as stream:
                stream.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")


KINDS = [name for name, method in vars(Hostile).items() if callable(method)]
KINDS = [name for name in KINDS if name not in ("__init__", "raw", "name", "either")]


def work(hostile, counts):
    while not hostile.stop.is_set():
        kind = hostile.dice.choice(KINDS)
        try:
            getattr(hostile, kind)()
        except (OSError, ConnectionError):
            # What the daemon does to such clients, or what the run does to the daemon.
            pass
        counts[kind] += 1
        hostile.stop.wait(hostile.dice.random() / 5)


def main(ingest_host, ingest_port, http_host, http_port, seed, workers):
    stop, counts = threading.Event(), collections.Counter()
    ingest, http = (ingest_host, int(ingest_port)), (http_host, int(http_port))
    threads = []
    for n in range(int(workers)):
        hostile = Hostile(ingest, http, random.Random(f"{seed}-{n}"), stop)
        threads.append(threading.Thread(target=work, args=(hostile, counts)))
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    json.dump(counts, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
