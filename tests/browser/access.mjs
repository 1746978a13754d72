// For everybody: axe finds nothing in either theme, with tables and a history open; all of it works by
// keyboard; and every chart has its numbers as a table.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { atRest, generate, launch, openPage, startDaemon, waitUntil } from './harness.mjs';

const axe = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

async function audit(page, what) {
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
  assert.deepEqual(found, [], what);
  assert.ok(passes.length > 20, `${what}: ${passes.length} rules were checked`);
}

const daemon = await startDaemon();
await generate(daemon, '--rate', '4000', '--count', '12000').done;
await atRest(daemon);
const browser = await launch();
for (const theme of ['dark', 'light']) {
  for (const width of [1280, 360]) {
    const { page, context, complaints } = await openPage(browser, `${daemon.url}/#theme=${theme}`, { viewport: { width, height: 900 } });
    await waitUntil('groups', async () => assert.ok(await page.locator('#groups tr').count() > 10));
    await page.evaluate(axe);
    await audit(page, `${theme}, ${width}`);
    for (const summary of await page.locator('.numbers summary').all()) {
      if (await summary.isVisible()) await summary.click();
    }
    await waitUntil('tables', async () => assert.ok(await page.locator('#bars-panel .numbers tbody tr').count() > 0));
    await audit(page, `${theme}, ${width}, with numbers`);
    await page.locator('#sources button').first().click();
    await waitUntil('a history', async () => assert.ok(await page.locator('#history').isVisible()));
    await audit(page, `${theme}, ${width}, with a history`);
    assert.deepEqual(complaints, []);
    await context.close();
  }
}

// By keyboard alone.
const { page, complaints } = await openPage(browser, `${daemon.url}/#range=10m`);
await waitUntil('sources', async () => assert.ok(await page.locator('#sources button').count() > 0));
const reached = new Set();
for (let presses = 0; presses < 120; presses += 1) {
  await page.keyboard.press('Tab');
  reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.closest('[id]')?.id));
}
for (const id of ['controls', 'share', 'download', 'total-card', 'field', 'field-chart', 'window', 'stat', 'bars-chart', 'delays-chart', 'sources', 'fields', 'groups-filter', 'groups-head']) {
  assert.ok(reached.has(id), `${id} is reached by Tab; reached: ${[...reached].join()}`);
}
await page.locator('#field-chart').focus();
// To the right end, where a window is filling.
for (let presses = 0; presses < 60; presses += 1) await page.keyboard.press('ArrowRight');
const run = generate(daemon, '--rate', '500');
await waitUntil('what is under the keyboard\'s pointer', async () => assert.match(await page.locator('#tip').innerText(), /avg/));
await run.end();
await page.keyboard.press('Escape');
await waitUntil('nothing there any more', async () => assert.equal(await page.locator('#tip:popover-open').count(), 0));
await page.locator('#total-card').focus();
await waitUntil('where events ended', async () => assert.match(await page.locator('#tip').innerText(), /applied\s*[\d,]+ \(100\.0 %\)/));
await page.locator('#sources button').first().focus();
await page.keyboard.press('Enter');
await waitUntil('a history', async () => assert.ok(await page.locator('#history').isVisible()));
await page.keyboard.press('Escape');
await waitUntil('no history', async () => assert.ok(await page.locator('#history').isHidden()));
assert.deepEqual(complaints, []);

// A table for every chart, and a word for what is in it.
for (const canvas of await page.locator('main canvas.plot, #mix-chart').all()) {
  const { label, hasTable } = await canvas.evaluate((node) => ({
    label: node.getAttribute('aria-label'), hasTable: Boolean(node.closest('.panel').querySelector('table')),
  }));
  assert.ok(label.length > 10 && hasTable, label);
}
await browser.close();
await daemon.end();
console.log('ok: axe has nothing to say in either theme, keyboard, tables');
