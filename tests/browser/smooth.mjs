// Script time of a frame at 20 updates a second, with every chart and panel drawn anew each time and an
// hour of history behind them. The median of the best of several stretches counts: the machine may be busy
// with something else, but cannot be busy with less.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { follow, generate, launch, openPage, startDaemon, waitFor } from './harness.mjs';
import { startStandIn } from './standin.mjs';

const BUDGET_MS = 8;
const UPDATE_MS = 50;
const STRETCHES = 5;
const UPDATES = 40; // a stretch

/** Adds up what scripts do between two frames, messages included. */
function meter() {
  let spent = 0;
  window.frames_ms = [];
  const timed = (task) => (...given) => {
    const from = performance.now();
    task(...given);
    spent += performance.now() - from;
  };
  const request = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (task) => request((now) => {
    timed(task)(now);
    window.frames_ms.push(spent);
    spent = 0;
  });
  const listen = EventSource.prototype.addEventListener;
  EventSource.prototype.addEventListener = function add(name, task) {
    listen.call(this, name, timed(task));
  };
}

const daemon = await startDaemon();
const { newest, stop } = await follow(daemon, '?windows=realtime');
// More groups than the page asks for at a time.
const run = generate(daemon, '--rate', '3000', '--sources', '3000');
await waitFor('one message of each kind', () => newest.stats?.processor.events_per_second > 0 && newest.live && newest.window && newest.alert);
await run.end();
stop();

const standIn = await startStandIn(daemon, newest);
const browser = await launch();
const { page, complaints } = await openPage(browser, `${standIn.url}/#range=1h`, { before: meter });
await waitFor('the stream', () => standIn.streams.size > 0);
await standIn.live(3700);
await waitFor('many groups', async () => /1,000 results/.test(await page.locator('#groups-count').innerText()));

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const medians = [];
let worst = 0;
for (let stretch = 0; stretch < STRETCHES; stretch += 1) {
  await page.evaluate(() => { window.frames_ms = []; });
  // The pace of messages, not a wait for something: this is the load that is measured.
  for (let update = 0; update < UPDATES; update += 1) {
    standIn.pass(UPDATE_MS / 1000);
    await Promise.all([standIn.sent.live(), standIn.sent.stats(), standIn.sent.window('realtime', 10)]);
    await sleep(UPDATE_MS);
  }
  const frames = await page.evaluate(() => window.frames_ms);
  assert.ok(frames.length > UPDATES / 4, `${frames.length} frames for ${UPDATES} updates`);
  assert.ok(frames.length <= UPDATES * 3, `${frames.length} frames for ${UPDATES} updates: drawn without need`);
  medians.push(median(frames));
  worst = Math.max(worst, ...frames);
}
console.log(`script time of a frame, median of each stretch: ${medians.map((ms) => ms.toFixed(1)).join(', ')} ms (budget ${BUDGET_MS} ms); the longest frame ${worst.toFixed(1)} ms`);
assert.ok(Math.min(...medians) < BUDGET_MS, 'smooth');
assert.deepEqual(complaints, []);
await browser.close();
standIn.end();
await daemon.end();
console.log('ok: smooth');
