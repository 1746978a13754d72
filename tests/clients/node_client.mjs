// Node's ws sends the contract's events; the eventsource package reads the results; bad events in a batch are
// answered with frame and index while their neighbours count.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { EventSource } from "eventsource";
import WebSocket from "ws";

const PATIENCE_MS = 60_000;

async function waitFor(what, look) {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const found = await look();
    if (found) return found;
    await sleep(20);
  }
  throw new Error(`waited in vain for ${what}`);
}

async function startDaemon() {
  const dir = mkdtempSync(join(tmpdir(), "flumen-node-"));
  const [config, addresses] = [join(dir, "flumen.toml"), join(dir, "addresses")];
  writeFileSync(config, '[time]\nwatermark_delay = "0s"\nidle_timeout = "500ms"\n');
  const listen = ["--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
  const child = spawn(process.env.FLUMEN, ["serve", "--config", config, "--addresses-file", addresses, ...listen]);
  process.on("exit", () => child.kill("SIGKILL"));
  await waitFor("the addresses file", () => existsSync(addresses));
  const found = Object.fromEntries(readFileSync(addresses, "utf8").trim().split("\n").map((line) => line.split("=")));
  const http = `http://${found.http}`;
  return {
    ws: `ws://${found.ingest}/ws/ingest`,
    http,
    get: async (path) => (await fetch(http + path)).json(),
    stop: async () => {
      child.kill("SIGTERM");
      const [code] = await once(child, "exit");
      rmSync(dir, { recursive: true });
      assert.equal(code, 0);
    },
  };
}

// Opens a socket; `answer(test)` waits for an answer that passes the test.
async function open(url, protocols) {
  const socket = new WebSocket(url, protocols);
  const answers = [];
  socket.on("message", (data) => answers.push(JSON.parse(data)));
  await once(socket, "open");
  const answer = (what, test) => waitFor(what, () => answers.find(test));
  return { socket, answers, answer };
}

const daemon = await startDaemon();
const results = [];
const unnamed = [];
const source = new EventSource(`${daemon.http}/stream/metrics`);
source.addEventListener("window", (event) => results.push(JSON.parse(event.data)));
source.onmessage = (event) => unnamed.push(JSON.parse(event.data));
await waitFor("the subscriber", async () => (await daemon.get("/api/stats")).sse_subscribers === 1);

// One window of the past, so that silence closes it.
const start = Math.floor(Date.now() / 10_000) * 10 - 60;
const event = (n, more = {}) => ({ source: `node_${n % 3}`, type: "user_action", timestamp: (start + 1) * 1000 + n, data: { n }, ...more });
let sent = 0;
let sum = 0;
const take = (from, count) => Array.from({ length: count }, (_, i) => {
  sent += 1;
  sum += from + i;
  return event(from + i);
});

const acked = await open(`${daemon.ws}?ack=1`);
acked.socket.send(JSON.stringify(take(0, 1)[0]));
acked.socket.send(Buffer.from(JSON.stringify(take(1, 1)[0])));
acked.socket.send(JSON.stringify(take(2, 50)));
acked.socket.send(take(52, 50).map((e) => JSON.stringify(e)).join("\n"));
const [first, last] = take(102, 2);
acked.socket.send(JSON.stringify([first, { source: "x" }, last]));
const ack = await acked.answer("the ack", (a) => a.type === "ack" && a.seq === 5);
assert.deepEqual({ accepted: ack.accepted, rejected: ack.rejected }, { accepted: 104, rejected: 1 });
const errors = acked.answers.filter((a) => a.type === "error");
assert.equal(errors.length, 1);
assert.deepEqual([errors[0].seq, errors[0].index, errors[0].code], [5, 1, "missing_type"]);

const protocol = await open(daemon.ws, "flumen.ingest.v1");
assert.equal(protocol.socket.protocol, "flumen.ingest.v1");
protocol.socket.send(JSON.stringify(take(104, 10)));
await protocol.answer("the ack", (a) => a.type === "ack" && a.accepted === 10);

const silent = await open(daemon.ws);
silent.socket.send(JSON.stringify(take(114, 10)));
await waitFor("the events without acks", async () => (await daemon.get("/api/stats")).events.applied === sent);
assert.equal(silent.answers.length, 0);

const result = await waitFor("the window", () => results.find((r) => r.window === "realtime" && r.window_start === start));
assert.equal(result.window_end, start + 10);
assert.equal(result.event_count, sent);
assert.equal(result.final, true);
assert.equal(result.aggregates.n.sum, sum);
assert.equal(result.aggregates.n.max, 123);
assert.equal(result.event_types.user_action, sent);
assert.equal(result.top_sources.length, 3);
assert.deepEqual(unnamed, results.filter((r) => r.window === "realtime"));

const stats = await daemon.get("/api/stats");
assert.equal(stats.events.received, sent + 1);
assert.equal(stats.events.rejected_by_reason.missing_type, 1);
assert.equal(stats.events.in_flight, 0);

// The drain: a close frame with 1001.
const closed = once(acked.socket, "close");
source.close();
const stopped = daemon.stop();
const [code] = await closed;
assert.equal(code, 1001);
await stopped;
console.log(`ok: ${sent} events and one bad one, acks, errors, results over SSE, close 1001`);
