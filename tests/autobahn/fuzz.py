"""The fuzzing client: runs the suite's cases against a WebSocket server.

    fuzz.py URL CASES RESULTS.json

CASES is the folder that `convert.py` has made. What is done and what is judged is the suite's own; here is
what it runs in: a client of autobahn that may say what no client should, and the clock.
"""

import json
import sys
import time

from twisted.internet import reactor
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS

from latin1 import to_bytes

# Cases at a time: they mostly wait. Those of section 9 run alone, because they keep this process busy.
AT_ONCE = 8
# What the suite gives a server to answer is meant for an idle machine. It is waited for only where an
# answer is missing, so more costs nothing.
PATIENCE = 15
# Of all of it, in seconds, where half a minute is usual.
DEADLINE = 600


class Fuzzer(WebSocketClientProtocol):
    """One connection, for one case, which calls it `p`."""

    # The suite's reports have logs of what went over the wire; these have none.
    createWirelog = False

    def enableWirelog(self, _enable):
        pass

    def connectionMade(self):
        self.connectionWasOpen = False
        self.txFrameStats = {}
        self.run = self.factory.case(self)
        self.started = time.time()
        super().connectionMade()

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.run.onConnectionLost(self.failedByMe)
        run = self.run
        self.factory.done(
            {
                "id": self.factory.id,
                "description": run.DESCRIPTION,
                "expectation": run.EXPECTATION,
                "behavior": run.behavior,
                "behavior_close": run.behaviorClose,
                "result": run.result,
                "result_close": run.resultClose,
                "expected": brief(run.expected),
                "received": brief(run.received),
                "close_code": self.remoteCloseCode,
                "close_reason": self.remoteCloseReason,
                "seconds": round(time.time() - self.started, 3),
            }
        )

    # What happens, for the case.

    def onOpen(self):
        self.connectionWasOpen = True
        self.run.onOpen()

    def onMessage(self, payload, isBinary):
        self.run.onMessage(payload.decode("latin-1"), isBinary)

    def onPing(self, payload):
        self.run.onPing(payload.decode("latin-1"))

    def onPong(self, payload):
        self.run.onPong(payload.decode("latin-1"))

    def onClose(self, wasClean, code, reason):
        self.run.onClose(wasClean, code, reason)

    def logTxFrame(self, header, *_rest):
        self.txFrameStats[header.opcode] = self.txFrameStats.get(header.opcode, 0) + 1

    def logRxFrame(self, *_what):
        pass

    # What the case does.

    def sendFrame(self, opcode, payload=b"", **more):
        super().sendFrame(opcode, to_bytes(payload), **more)

    def sendMessage(self, payload, *rest, **more):
        super().sendMessage(to_bytes(payload), *rest, **more)

    def sendMessageFrameData(self, payload, *rest):
        return super().sendMessageFrameData(to_bytes(payload), *rest)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        reason = None if reasonUtf8 is None else to_bytes(reasonUtf8)
        super().sendCloseFrame(code, reason, isReply)

    def later(self, seconds, what):
        def unless_over():
            if self.state != self.STATE_CLOSED:
                what()

        reactor.callLater(min(seconds, DEADLINE / 4), unless_over)

    def continueLater(self, seconds, what, _tag=None):
        self.later(seconds, what)

    def killAfter(self, seconds):
        self.later(seconds * PATIENCE, self._fail_connection)

    def closeAfter(self, seconds):
        self.later(seconds * PATIENCE, self.sendClose)


class Factory(WebSocketClientFactory):
    protocol = Fuzzer
    noisy = False

    def __init__(self, url, case, done):
        super().__init__(url)
        self.logFrames = True
        self.setProtocolOptions(
            failByDrop=False,
            openHandshakeTimeout=5 * PATIENCE,
            closeHandshakeTimeout=PATIENCE,
            serverConnectionDropTimeout=PATIENCE,
        )
        self.case = case
        self.id = id_of(case)
        self.done = done

    def clientConnectionFailed(self, _connector, reason):
        stop(f"case {self.id}: no connection: {reason.getErrorMessage()}")


def id_of(case):
    return case.__name__.removeprefix("Case").replace("_", ".")


def brief(value):
    """As JSON, without megabytes."""
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}… ({len(text)} characters)"


def stop(why=None):
    global failure
    failure = why
    reactor.stop()


class Runner:
    def __init__(self, url, cases, at_once, finished):
        self.url = url
        self.cases = list(reversed(cases))
        self.finished = finished
        self.results = []
        for _ in range(min(at_once, len(cases))):
            self.next()

    def next(self):
        if self.cases:
            case = self.cases.pop()
            running.add(id_of(case))
            connectWS(Factory(self.url, case, self.done))
        elif not running:
            self.finished(self.results)

    def done(self, result):
        self.results.append(result)
        running.remove(result["id"])
        reactor.callLater(0, self.next)


def main(url, folder, out):
    sys.path.insert(0, folder)
    import suite

    busy = [case for case in suite.Cases if id_of(case).startswith("9.")]
    others = [case for case in suite.Cases if case not in busy]

    def finished(results):
        order = [id_of(case) for case in suite.Cases]
        results.sort(key=lambda result: order.index(result["id"]))
        assert [result["id"] for result in results] == order
        with open(out, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
        stop()

    def then_alone(results):
        Runner(url, busy, 1, lambda more: finished(results + more))

    reactor.callWhenRunning(lambda: Runner(url, others, AT_ONCE, then_alone))
    reactor.callLater(DEADLINE, lambda: stop(f"not done after {DEADLINE} s, at {sorted(running)}"))
    reactor.run()
    if failure:
        sys.exit(f"fuzz.py: {failure}")


running = set()
failure = "it was interrupted"
if __name__ == "__main__":
    main(*sys.argv[1:])
