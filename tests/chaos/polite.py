"""Polite clients, a process of their own so that nobody else's work is in their times: an event, its ack, a pause.
One writes a byte at a time. Ends when standard input does, and prints what it has seen as JSON.

    polite.py HOST PORT CLIENTS
"""

import json
import sys
import threading
import time

from websocket import WebSocket, event, frame

PAUSE_S = 0.02


class Polite(threading.Thread):
    def __init__(self, where, source, stop, bytewise=False):
        super().__init__()
        self.source, self.stop, self.bytewise = source, stop, bytewise
        self.socket = WebSocket(where)
        self.seen = {"source": source, "sent": 0, "accepted": 0, "rejected": 0, "latencies": [], "failed": None}

    def run(self):
        try:
            while not self.stop.is_set():
                self.send()
                time.sleep(PAUSE_S)
        except Exception as error:  # whatever it is, the run has to hear of it
            self.seen["failed"] = repr(error)

    def send(self):
        seen = self.seen
        start = time.monotonic()
        text = event(self.source, "polite", time.time(), value=1)
        if self.bytewise:
            for byte in frame(text):
                self.socket.stream.sendall(bytes([byte]))
                time.sleep(0.001)
        else:
            self.socket.send(text)
        seen["sent"] += 1
        ack = self.socket.read_ack(seen["sent"])
        seen["accepted"], seen["rejected"] = ack["accepted"], ack["rejected"]
        if ack["seq"] != seen["sent"] or ack["accepted"] + ack["rejected"] != seen["sent"]:
            raise AssertionError(f"{seen['sent']} sent, told {ack}")
        if not self.bytewise:
            seen["latencies"].append((start, time.monotonic() - start))


def main(host, port, clients):
    where, stop = (host, int(port)), threading.Event()
    all_of_them = [Polite(where, f"polite-{n}", stop) for n in range(int(clients))]
    all_of_them.append(Polite(where, "bytewise", stop, bytewise=True))
    for client in all_of_them:
        client.start()
    sys.stdin.read()
    stop.set()
    for client in all_of_them:
        client.join()
    json.dump([client.seen for client in all_of_them], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
