// Usable from a phone to a wall: nothing overflows, nothing is cut off, nothing moves by itself. The
// screenshots are for a person to look at.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { atRest, CONFIG, generate, launch, openPage, rowsOf, startDaemon, waitUntil } from './harness.mjs';

const SIZES = [[360, 740], [1280, 900], [3840, 2160]];
// What browsers call good is 0.1. The rows of the first few results are most of what is seen.
const MOST_SHIFT = 0.08;

function watchShifts() {
  window.shifts = [];
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.shifts.push({
    value: entry.value,
    what: entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName).join(),
  }))).observe({ type: 'layout-shift', buffered: true });
}

const daemon = await startDaemon(CONFIG);
const browser = await launch();
const pages = [];
for (const [width, height] of SIZES) {
  for (const colorScheme of ['dark', 'light']) {
    const opened = await openPage(browser, daemon.url, { viewport: { width, height }, colorScheme, before: watchShifts });
    pages.push({ ...opened, width, colorScheme });
  }
}
// From an empty page to a full one.
const run = generate(daemon, '--rate', '2000', '--count', '24000');
await run.done;
await atRest(daemon);
for (const { page, complaints, width, colorScheme } of pages) {
  const what = `${width} ${colorScheme}`;
  await waitUntil('everything', async () => {
    assert.equal(await page.locator('[data-slot="total"]').innerText(), '24,000');
    assert.ok((await rowsOf(page, '#groups')).length > 10);
  });
  const { wide, cut } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    cut: [...new Set([...document.querySelectorAll('.figure, .foot, .bar, header, h2, td, th')].filter((node) =>
      node.scrollWidth > node.clientWidth + 1 && node.checkVisibility()).map((node) => `${node.closest('[id]').id}: ${node.textContent.trim()}`))].slice(0, 10),
  }));
  assert.equal(wide, 0, `${what}: the page scrolls sideways`);
  assert.deepEqual(cut, [], `${what}: cut off`);
  // Before the picture is taken, for which the browser makes the window as high as the page.
  const shifts = await page.evaluate(() => window.shifts);
  const sum = shifts.reduce((total, { value }) => total + value, 0);
  assert.ok(sum < MOST_SHIFT, `${what}: things move: ${JSON.stringify(shifts)}`);
  assert.deepEqual(complaints, [], what);
  await page.screenshot({ path: join(process.env.SCREENSHOTS, `${width}-${colorScheme}.png`), fullPage: true });
}
await browser.close();
await daemon.end();
console.log(`ok: ${SIZES.map(([width]) => width).join(', ')} pixels; screenshots in ${process.env.SCREENSHOTS}`);
