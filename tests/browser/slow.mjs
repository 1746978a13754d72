// A daemon that answers late or never: the page asks once and waits, takes the answer when it comes, and asks again only
// when its patience is at an end.

import assert from 'node:assert/strict';
import { launch, openPage, rowsOf, slotText, startDaemon, waitFor, waitUntil } from './harness.mjs';

const daemon = await startDaemon();
const browser = await launch();
/** Has the page's patience end when the test says so. */
function patient() {
  const all = [];
  AbortSignal.timeout = () => {
    all.push(new AbortController());
    return all.at(-1).signal;
  };
  window.loseItsPatience = () => all.splice(0).forEach((one) => one.abort());
}
const { page, complaints } = await openPage(browser, daemon.url, { allow: /^warning: groups:/ });
// From here on its time passes as fast as the test says.
await page.clock.install();
await page.addInitScript(patient);

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
assert.equal(windows.waiting.size, 1, 'requests for what to connect to');
const [given] = windows.waiting.keys();
await page.evaluate(() => window.loseItsPatience());
await waitUntil('another question', () => assert.ok(windows.waiting.size === 1 && !windows.waiting.has(given)));
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
for (let turn = 0; turn < 3; turn += 1) {
  const before = await slotText(page, 'uptime');
  await waitUntil('a message, without which it would connect anew', async () => assert.notEqual(await slotText(page, 'uptime'), before));
  await page.clock.runFor(5_000);
  assert.deepEqual([...groups.waiting.keys()], [first], 'requests for groups');
}
// Another view: its history and its table.
await page.evaluate(() => { location.hash = '#group=source%3Dx'; });
await waitUntil('only the new view is asked for', () => {
  assert.ok(!groups.waiting.has(first));
  assert.ok(groups.waiting.size === 2 && [...groups.waiting.keys()].some((request) => request.url().includes('group=')));
});
await groups.release();
await waitUntil('its answer', async () => assert.match(await page.locator('#history-note').innerText(), /0 results of by-source/));

assert.deepEqual(complaints, []);
await browser.close();
await daemon.end();
console.log('ok: late answers are waited for, once each');
