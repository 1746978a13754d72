"""What the outside sees of the daemon: a WebSocket client, HTTP, and the two kinds of load that the checks use.
Python's own library only. Sockets are made in the box's network (see box.py)."""

import base64
import http.client
import json
import os
import socket
import struct
import threading
import time

INGEST = ("127.0.0.1", 8000)
HTTP = ("127.0.0.1", 8001)
PATIENCE_S = 60.0
TEXT, CLOSE = 0x1, 0x8


class Closed(Exception):
    """The daemon has closed the connection; `code` is that of its close frame, or None."""

    def __init__(self, code):
        super().__init__(f"closed with {code}")
        self.code = code


def expect_limited(what):
    """That a message of more than 200 bytes ends the connection, as in the configuration that checks use."""
    sender = Sender()
    sender.send(source="x" * 200)
    try:
        answer = sender.receive()
        raise AssertionError(f"{what} is not in force: {answer}")
    except Closed as closed:
        assert closed.code == 1009, closed
    finally:
        sender.close()


class Sender:
    """A WebSocket connection to the ingest port that asks for acknowledgements."""

    def __init__(self):
        self.socket = socket.create_connection(INGEST, timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws/ingest?ack=1 HTTP/1.1\r\nHost: box\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.buffered = b""
        while b"\r\n\r\n" not in self.buffered:
            self._more()
        head, self.buffered = self.buffered.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(f"no upgrade: {head.decode(errors='replace')}")

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Closed(None)
        self.buffered += data

    def send(self, value=1.0, source="box"):
        """Sends one event in one frame."""
        event = {"source": source, "type": "test", "timestamp": time.time(), "data": {"value": value}}
        payload = json.dumps(event).encode()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
        self.socket.sendall(bytes([0x80 | TEXT]) + size + mask + masked)

    def receive(self):
        """The next answer of the daemon, read as JSON. Raises Closed."""
        while True:
            while len(self.buffered) < 2 or len(self.buffered) < self._frame_size():
                self._more()
            size = self._frame_size()
            frame, self.buffered = self.buffered[:size], self.buffered[size:]
            opcode, payload = frame[0] & 0xF, frame[2 if frame[1] < 126 else 4 :]
            if opcode == CLOSE:
                raise Closed(struct.unpack(">H", payload[:2])[0] if payload else None)
            if opcode == TEXT:
                return json.loads(payload)

    def _frame_size(self):
        """Of the frame at the front; the daemon's are short and not masked."""
        if self.buffered[1] < 126:
            return 2 + self.buffered[1]
        return 4 + struct.unpack(">H", self.buffered[2:4])[0] if len(self.buffered) >= 4 else 4

    def close(self):
        self.socket.close()


def send_one():
    """One event over one new connection, until it is acknowledged."""
    sender = Sender()
    try:
        sender.send()
        answer = sender.receive()
        assert answer == {"type": "ack", "seq": 1, "accepted": 1, "rejected": 0}, answer
    finally:
        sender.close()


def get(path):
    """The text at `path` of the HTTP port."""
    connection = http.client.HTTPConnection(*HTTP, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == 200, f"{path}: {response.status} {text}"
        return text
    finally:
        connection.close()


def stats():
    return json.loads(get("/api/stats"))


def threads():
    """The threads of the pipeline, by name."""
    return {thread["name"]: thread for thread in stats()["threads"]}


def metric(name):
    """The value of the metric without labels, or with exactly those in `name`."""
    for line in get("/metrics").splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"/metrics has no {name}")


class Published(threading.Thread):
    """Reads the stream of results to its end and keeps the windows of one name."""

    def __init__(self, window):
        super().__init__()
        self.window = window
        self.results = []
        self.socket = socket.create_connection(HTTP, timeout=PATIENCE_S)
        self.socket.sendall(b"GET /stream/metrics?events=window HTTP/1.1\r\nHost: box\r\n\r\n")
        self.start()

    def run(self):
        with self.socket.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("data: "):
                    result = json.loads(line[6:])
                    if result["window"] == self.window:
                        self.results.append(result)


class Load(threading.Thread):
    """One connection that sends an event a millisecond until it is closed, and counts."""

    def __init__(self, number):
        super().__init__()
        self.source = f"load-{number}"
        self.sender = Sender()
        self.sent = 0
        self.acked = 0
        self.rejected = 0
        self.code = None
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        self.start()

    def run(self):
        try:
            while self.code is None:
                self.sender.send(source=self.source)
                self.sent += 1
                time.sleep(0.001)
        except OSError:
            pass

    def _read(self):
        try:
            while True:
                answer = self.sender.receive()
                self.acked = answer["seq"]
                self.rejected = answer["rejected"]
        except Closed as closed:
            self.code = closed.code or "end of stream"
        except OSError as error:
            self.code = str(error)

    def end(self):
        """Waits for the end and gives the socket back."""
        self.reader.join(PATIENCE_S)
        self.join(PATIENCE_S)
        assert not self.reader.is_alive() and not self.is_alive(), "the daemon never closed the connection"
        self.sender.close()


class Loop(threading.Thread):
    """Does `action` again and again until told to stop; keeps what went wrong and the longest wait."""

    def __init__(self, action):
        super().__init__()
        self.action = action
        self.done = 0
        self.failed = []
        self.longest_s = 0.0
        self.stopping = threading.Event()
        self.start()

    def run(self):
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                self.action()
                self.done += 1
            except Exception as error:  # whatever it is, a client would have seen it
                self.failed.append(repr(error))
            self.longest_s = max(self.longest_s, time.monotonic() - began)

    def stop(self):
        self.stopping.set()
        self.join(2 * PATIENCE_S)
        assert not self.is_alive(), "a client hangs"
