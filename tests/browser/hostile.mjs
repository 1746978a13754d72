// Names that come from outside are text, however odd or long, and windows of any kind may be the first.

import assert from 'node:assert/strict';
import { launch, openPage, openSender, startDaemon, waitUntil } from './harness.mjs';

const MARKUP = '<img src="/nowhere" onerror="alert(1)">';
const LONG = 'x'.repeat(256);
const EVENTS = [
  { source: MARKUP, type: '<b>type</b>', data: { [MARKUP]: 1, value: 2, constructor: 3, __proto__x: 4 } },
  { source: LONG, type: 'y'.repeat(64), data: { value: 5 } },
  { source: '=SUM(A1:A9)', type: 'ünï — 類型 🙂', data: { 'a.b c/d?e#f&g': 6 } },
  { source: 'constructor', type: '__proto__', data: { value: -1e300 } },
  { source: 'toString', type: 'hasOwnProperty', data: { value: 1e-300 } },
];

const TIME = '[time]\nwatermark_delay = "100ms"\nidle_timeout = "200ms"\n';
const GROUPED = '[[window]]\nname = "per-type-and-source"\nkind = "tumbling"\nsize = "500ms"\ngroup_by = ["type", "source"]\n';
const SESSION = '[[window]]\nname = "visits"\nkind = "session"\ngap = "500ms"\ngroup_by = ["source"]\n';
const PLAIN = '[[window]]\nname = "plain"\nkind = "tumbling"\nsize = "500ms"\n';

const browser = await launch();
for (const config of [TIME + PLAIN + GROUPED, TIME + GROUPED + PLAIN, TIME + SESSION]) {
  const daemon = await startDaemon(config);
  const send = await openSender(daemon);
  for (const width of [360, 1280]) {
    const { page, context, complaints } = await openPage(browser, daemon.url, { viewport: { width, height: 800 } });
    for (const event of EVENTS) send(event);
    await waitUntil('names as they are', async () => {
      const shown = await page.locator('#sources .name').allTextContents();
      assert.deepEqual(shown.sort(), EVENTS.map(({ source }) => source).sort());
      const types = await page.locator('#mix th').allTextContents();
      assert.deepEqual(types.sort(), EVENTS.map(({ type }) => type).sort());
    });
    await waitUntil('a closed window', async () => assert.ok(await page.locator('#groups button').count() >= EVENTS.length));
    // Whichever comes first, fields are those of the one without groups.
    if (config.includes(PLAIN)) await waitUntil('fields', async () => assert.ok(await page.locator('#fields button').count() > 0));
    for (const button of [page.locator('#groups button').first(), page.locator('#sources button').first()]) {
      await button.click();
      await waitUntil('a history', async () => assert.ok(await page.locator('#history').isVisible()));
      await page.keyboard.press('Escape');
    }
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, `${width}: the page scrolls sideways`);
    assert.equal(await page.locator('main img, main b:not(.legend b)').count(), 0);
    assert.deepEqual(complaints, []);
    await context.close();
  }
  await daemon.end();
}
await browser.close();
console.log('ok: odd names are text; any kind of window may be the first');
