// Usable from a phone to a wall: nothing overflows, nothing is cut off, nothing moves by itself. The
// screenshots are for a person to look at.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { atRest, CONFIG, generate, launch, openPage, rowsOf, startDaemon, waitUntil } from './harness.mjs';

const SIZES = [[360, 740], [1280, 900], [3840, 2160]];
// What browsers call good is 0.1. The rows of the first few results are most of what is seen.
const MOST_SHIFT = 0.08;

// The longest that the cards and the line at the top may have to show.
const LONGEST = {
  rate: '12,345,678', bytes: '1,000 GiB read', 'in-flight': '12,345,678 in flight',
  utilization: '100.0 %', pressure: 'critical', buffers: '12,345 of 12,345, at most 12,345', backpressure: 'backpressure 1,234,567 ×',
  total: '1,234,567,890,123', dropped: '<0.01 %', rejected: 'rejected 1,234,567,890', late: 'late 1,234,567,890', filtered: 'filtered 1,234,567,890',
  'latency-mean': '0.0123 ms', 'latency-p50': '0.0123 ms', 'latency-p99': '36,000 ms', 'latency-p999': '36,000 ms',
  connections: '10,000 connections', uptime: '59.9 min',
};
const ALARM = 'events are being dropped · buffers are nearly full · 12 critical alerts firing · events come too late · 17 alerts firing';

function watchShifts() {
  window.shifts = [];
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.shifts.push({
    value: entry.value,
    what: entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName).join(),
  }))).observe({ type: 'layout-shift', buffered: true });
}

/** How far the page scrolls sideways, and what does not fit its place. Runs in the page, after putting `texts` there. */
async function overflows({ texts, alarm }) {
  const { measureFigure, put } = await import('/static/dom.js');
  for (const [name, text] of Object.entries(texts)) put(name, text);
  if (alarm) document.getElementById('health').textContent = alarm;
  document.querySelectorAll('.figure').forEach(measureFigure);
  const isCut = (node) => node.scrollWidth > node.clientWidth + 1 && node.checkVisibility();
  const words = (node) => `${node.closest('section, header').className} ${node.className}: ${node.textContent.trim().replace(/\s+/g, ' ')}`;
  return {
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    cut: [...new Set([...document.querySelectorAll('.figure, .lost, .foot, .bar, header, h2, td, th')].filter(isCut).map(words))].slice(0, 10),
  };
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
  const { wide, cut } = await page.evaluate(overflows, { texts: {} });
  assert.equal(wide, 0, `${what}: the page scrolls sideways`);
  assert.deepEqual(cut, [], `${what}: cut off`);
  // Before the picture is taken, for which the browser makes the window as high as the page.
  const shifts = await page.evaluate(() => window.shifts);
  const sum = shifts.reduce((total, { value }) => total + value, 0);
  assert.ok(sum < MOST_SHIFT, `${what}: things move: ${JSON.stringify(shifts)}`);
  assert.deepEqual(complaints, [], what);
  await page.screenshot({ path: join(process.env.SCREENSHOTS, `${width}-${colorScheme}.png`), fullPage: true });
}
// The longest texts, down to what a page is to be readable at without scrolling to the side (WCAG 2.2, 1.4.10).
const { page } = pages[0];
for (const width of [320, 360, 400, 480, 560, 561, 700, 999, 1000, 1100, 1280, 1600, 1920, 3840]) {
  await page.setViewportSize({ width, height: 900 });
  assert.deepEqual(await page.evaluate(overflows, { texts: LONGEST, alarm: ALARM }), { wide: 0, cut: [] }, `${width}, the longest texts`);
}
await browser.close();
await daemon.end();
console.log(`ok: ${SIZES.map(([width]) => width).join(', ')} pixels; screenshots in ${process.env.SCREENSHOTS}`);
