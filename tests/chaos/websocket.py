"""As much of a WebSocket client as the clients here need, and where needed none: frames are bytes to spoil."""

import base64
import json
import os
import struct

from daemon import connect

TEXT, BINARY, CLOSE, PING = 0x81, 0x82, 0x88, 0x89


def request(path="/ws/ingest", more=""):
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n".encode()


def frame(payload, first=TEXT, masked=True):
    payload = payload.encode() if isinstance(payload, str) else payload
    bit = 0x80 if masked else 0
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    # A mask of zeros is a mask.
    return head + (bytes(4) if masked else b"") + payload


def event(source, kind, time_s, **data):
    return json.dumps({"source": source, "type": kind, "timestamp": round(time_s, 3), "data": data})


class WebSocket:
    def __init__(self, where, path="/ws/ingest?ack=1", receive_bytes=None):
        self.stream = connect(where, receive_bytes)
        self.stream.sendall(request(path))
        self.buffer, self.ack = b"", {"seq": 0}
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.decode(errors="replace"))

    def more(self):
        came = self.stream.recv(65536)
        if not came:
            raise ConnectionError("the daemon closed")
        self.buffer += came

    def send(self, text):
        self.stream.sendall(frame(text))

    def read(self):
        """The next frame: its first byte and payload."""
        while True:
            if len(self.buffer) >= 2:
                first, length = self.buffer[0], self.buffer[1]
                at = 2
                if length == 126 and len(self.buffer) >= 4:
                    (length,), at = struct.unpack("!H", self.buffer[2:4]), 4
                if length != 126 and len(self.buffer) >= at + length:
                    payload = self.buffer[at : at + length]
                    self.buffer = self.buffer[at + length :]
                    return first, payload
            self.more()

    def read_ack(self, seq):
        """The ack that covers frame `seq`; notices in between are left."""
        while self.ack["seq"] < seq:
            first, payload = self.read()
            if first == CLOSE:
                raise ConnectionError(f"closed: {payload!r}")
            if first == TEXT:
                said = json.loads(payload)
                self.ack = said if said["type"] == "ack" else self.ack
        return self.ack

    def close(self):
        self.stream.close()
