// An alert fires when values cross its threshold and is resolved when they come back: on the page as well as
// at /api/alerts. Another daemon knows nothing of it.

import assert from 'node:assert/strict';
import { HIGH_SENSOR_VALUE, launch, openPage, openSender, startDaemon, waitFor, waitUntil } from './harness.mjs';

const RULE = `
[time]
watermark_delay = "200ms"
idle_timeout = "400ms"
[[window]]
name = "realtime"
kind = "tumbling"
size = "500ms"
${HIGH_SENSOR_VALUE}`;

const daemon = await startDaemon(RULE);
const browser = await launch();
const { page, complaints } = await openPage(browser, daemon.url, { allow: /ERR_|loading failed|groups:/ });
await waitUntil('no alerts', async () => assert.match(await page.locator('#alerts').innerText(), /No alerts yet/));

const send = await openSender(daemon);

/** Sends a value until `look` gives something: windows close only as time passes. */
const sendUntil = (what, value, look) => waitFor(what, async () => {
  send({ source: 'probe', type: 'sensor_data', data: { value } });
  return look();
});
const newest = async () => (await daemon.get('/api/alerts?limit=50')).at(-1);

await sendUntil('events below the threshold', 42.5, async () => (await daemon.get('/api/aggregates/realtime')).length >= 2);
assert.deepEqual(await daemon.get('/api/alerts'), []);

const fired = await sendUntil('an alert', 91.5, newest);
assert.deepEqual([fired.state, fired.level, fired.value, fired.threshold, fired.message], ['firing', 'warning', 91.5, 80, 'High sensor value detected: 91.5']);
await waitUntil('the alert on the page', async () => {
  const item = page.locator('#alerts li').first();
  assert.equal(await item.locator('.level').innerText(), 'warning');
  assert.equal(await item.locator('.message').innerText(), fired.message);
  assert.equal(await item.locator('time').getAttribute('datetime'), fired.time);
  assert.match(await page.locator('#health').innerText(), /1 alert firing/);
});

const resolved = await sendUntil('its end', 42.5, async () => {
  const alert = await newest();
  return alert.state === 'resolved' && alert;
});
assert.equal(resolved.name, fired.name);
await waitUntil('its end on the page', async () => {
  assert.equal(await page.locator('#alerts li .level').first().innerText(), 'resolved');
  assert.doesNotMatch(await page.locator('#health').innerText(), /firing/);
  assert.match(await page.locator('[data-slot="firing"]').innerText(), /none firing/);
});

await sendUntil('another alert', 91.5, async () => (await newest()).state === 'firing');
await waitUntil('that on the page', async () => assert.match(await page.locator('#health').innerText(), /1 alert firing/));
await daemon.end('SIGKILL');
const second = await startDaemon(RULE, daemon);
await waitUntil('a page of the new daemon, where nothing fires', async () =>
  assert.match(await page.locator('#health').innerText(), /Waiting for the first event/));
assert.match(await page.locator('[data-slot="firing"]').innerText(), /none firing/);
assert.deepEqual(complaints, []);
await browser.close();
await second.end();
console.log('ok: an alert fires and is resolved, and ends with its daemon');
