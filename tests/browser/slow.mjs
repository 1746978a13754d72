// A daemon that answers late or never: the page asks once and waits, and takes the answer when it comes.

import assert from 'node:assert/strict';
import { launch, openPage, rowsOf, startDaemon, waitFor, waitUntil } from './harness.mjs';

const daemon = await startDaemon();
const browser = await launch();
// On a busy machine it may lose its patience, and says so.
const { page, complaints } = await openPage(browser, daemon.url, { allow: /^warning: (groups|loading failed)/ });
// From here on the page's time passes as the test says.
await page.clock.install();

/** Holds the answers to what matches back. `waiting` are the requests that the page still waits for. */
async function hold(pattern) {
  const waiting = new Map();
  page.on('requestfailed', (request) => waiting.delete(request));
  await page.route(pattern, (route) => waiting.set(route.request(), route));
  return {
    waiting,
    release: async () => {
      await page.unroute(pattern);
      // Those that were given up meanwhile cannot go on.
      await Promise.all([...waiting.values()].map((route) => route.continue().catch(() => {})));
    },
  };
}

// What to connect to.
const windows = await hold('**/api/windows');
await page.reload();
await waitFor('a first question', () => windows.waiting.size > 0);
await page.clock.runFor(60_000);
assert.ok(windows.waiting.size <= 1, `${windows.waiting.size} requests for what to connect to`);
assert.match(await page.locator('#health').innerText(), /Stale since/);
await windows.release();
await waitUntil('a stream', async () => {
  assert.doesNotMatch(await page.locator('#health').innerText(), /Stale/);
  assert.ok((await rowsOf(page, '#threads')).length > 1);
});

// Groups, which are asked for every five seconds.
const groups = await hold('**/api/aggregates/by-source*');
await page.clock.runFor(5_000);
const [first] = await waitFor('groups to be asked for', () => groups.waiting.size > 0 && [...groups.waiting.keys()]);
await page.clock.runFor(60_000);
assert.ok(groups.waiting.size <= 1, `${groups.waiting.size} requests for groups`);
// Another view: its history and its table.
await page.evaluate(() => { location.hash = '#group=source%3Dx'; });
await waitUntil('only the new view is asked for', () => {
  assert.ok(!groups.waiting.has(first));
  assert.ok(groups.waiting.size <= 2 && [...groups.waiting.keys()].some((request) => request.url().includes('group=')));
});
await groups.release();
await waitUntil('its answer', async () => assert.match(await page.locator('#history-note').innerText(), /0 results of by-source/));

assert.deepEqual(complaints, []);
await browser.close();
await daemon.end();
console.log('ok: late answers are waited for, once each');
