// Ten minutes' worth of messages, sent as fast as the page takes them, leave its memory as it was: measured
// once an hour's worth has filled whatever is kept.

import assert from 'node:assert/strict';
import { follow, generate, launch, openPage, slotText, startDaemon, waitFor, waitUntil } from './harness.mjs';
import { startStandIn } from './standin.mjs';

const GROWTH = 3 * 2 ** 20;

const daemon = await startDaemon();
const { newest, stop } = await follow(daemon, '?windows=realtime');
const run = generate(daemon, '--rate', '2000');
await waitFor('one message of each kind', () => newest.stats?.processor.events_per_second > 0 && newest.live && newest.window && newest.alert);
await run.end();
stop();

const standIn = await startStandIn(daemon, newest);
const browser = await launch('--js-flags=--expose-gc');
const { page, complaints, context } = await openPage(browser, standIn.url);
const inspector = await context.newCDPSession(page);
await waitFor('the stream', () => standIn.streams.size > 0);

let mark = 1_000_000;
/** Waits until the page has drawn all that was sent. */
async function settled() {
  mark += 1;
  standIn.pass(1);
  await standIn.sent.stats({ processor: { ...newest.stats.processor, total_events: mark } });
  await waitUntil('the last message', async () => assert.equal(await slotText(page, 'total'), mark.toLocaleString('en')));
}

async function heap() {
  await settled();
  await inspector.send('HeapProfiler.collectGarbage');
  const { usedSize } = await inspector.send('Runtime.getHeapUsage');
  const { metrics } = await inspector.send('Performance.getMetrics');
  return { bytes: usedSize, nodes: metrics.find(({ name }) => name === 'Nodes').value };
}

await inspector.send('Performance.enable');
await standIn.live(4000);
const before = await heap();
const began = Date.now();
await standIn.live(600);
const after = await heap();
const took = (Date.now() - began) / 1000;
await standIn.live(600);
const later = await heap();
const mib = (bytes) => (bytes / 2 ** 20).toFixed(2);
console.log(`heap: ${mib(before.bytes)} MiB after an hour's messages, ${mib(after.bytes)} after ten minutes' more (in ${took.toFixed(1)} s), ${mib(later.bytes)} after ten more; ${later.nodes} nodes`);
assert.ok(later.bytes - before.bytes < GROWTH, 'the heap is bounded');
assert.ok(later.nodes <= before.nodes * 1.05 + 50, `nodes: ${before.nodes}, then ${later.nodes}`);
assert.deepEqual(complaints, []);
await browser.close();
standIn.end();
await daemon.end();
console.log('ok: bounded');
