// What the page shows is what /api/stats, /api/aggregates and the stream say: every card, chart and table,
// while events come in and at rest.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { atRest, follow, generate, launch, openPage, pointAt, rowsOf, slotText, startDaemon, waitFor, waitUntil } from './harness.mjs';
import * as text from './static/format.js';

const daemon = await startDaemon();
const browser = await launch();
const { page, complaints } = await openPage(browser, `${daemon.url}/#range=10m`);
assert.equal(await waitFor('a quiet page', async () => (await page.locator('#health').innerText()).includes('Waiting') && 'yes'), 'yes');
const beside = await follow(daemon);
const run = generate(daemon, '--rate', '2000');

// ---- While events come in ----

/** All cards, as texts of one moment. */
const cardsOnPage = () => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.card [data-slot]')].map((node) => [node.dataset.slot, node.textContent])));

function cardsOf({ processor, buffer, events }) {
  return {
    rate: text.count(processor.events_per_second),
    bytes: `${text.bytes(processor.bytes_processed)} read`,
    'in-flight': `${text.count(events.in_flight)} in flight`,
    utilization: text.percent(buffer.utilization),
    pressure: buffer.utilization > 0.9 ? 'critical' : buffer.utilization > 0.7 ? 'high' : '',
    buffers: `${buffer.current_size} of ${buffer.capacity}, at most ${buffer.high_water_mark}`,
    backpressure: `backpressure ${processor.backpressure_events} ×`,
    total: text.count(processor.total_events),
    dropped: text.percent(buffer.drop_rate),
    rejected: `rejected ${text.count(events.rejected)}`,
    late: `late ${text.count(events.late)}`,
    filtered: `filtered ${text.count(events.filtered)}`,
    'latency-mean': text.millis(processor.processing_time_ms),
    'latency-p50': text.millis(processor.latency_ms.p50),
    'latency-p99': text.millis(processor.latency_ms.p99),
    'latency-p999': text.millis(processor.latency_ms.p999),
  };
}

await waitUntil('all cards as the stream says, at speed', async () => {
  const shown = await cardsOnPage();
  assert.ok(beside.newest.stats.processor.events_per_second > 1000);
  assert.deepEqual(shown, cardsOf(beside.newest.stats));
});
await waitUntil('the latencies as the stream says', async () => {
  const shown = await page.locator('#delays-legend b').allInnerTexts();
  const { p50, p99, p999 } = beside.newest.stats.processor.latency_ms;
  assert.deepEqual(shown, [p50, p99, p999].map(text.millis));
});
await waitUntil('the window that is filling', async () => {
  const shown = await rowsOf(page, '#fields');
  const { live } = beside.newest;
  assert.ok(live.aggregates.value.count > 0);
  assert.deepEqual(shown.find(([name]) => name === 'value'), ['value', text.count(live.aggregates.value.count),
    ...['avg', 'min', 'max', 'p95'].map((name) => text.measure(live.aggregates.value[name]))]);
});
await waitUntil('a spark for each second', async () => {
  const { rows } = await pointAt(page, '#rate-spark', 0.995);
  assert.equal(rows['events/s'], await slotText(page, 'rate'));
});

// ---- At rest ----

await waitFor('some closed windows', async () => (await daemon.get('/api/aggregates/sliding')).length >= 3);
await run.end();
await atRest(daemon);
const stats = await daemon.get('/api/stats');
await waitUntil('the total', async () => assert.equal(await slotText(page, 'total'), text.count(stats.processor.total_events)));
const total = stats.processor.total_events;
assert.equal(total, stats.events.applied);

// Event mix: the table and the shares of the ring.
const types = Object.entries(stats.event_types).sort((a, b) => b[1] - a[1]);
await waitUntil('the event mix', async () => assert.deepEqual(await rowsOf(page, '#mix'),
  types.map(([type, n]) => [type, text.count(n), text.percent(n / stats.events.applied)])));
const shares = await page.locator('#mix-chart').evaluate((canvas, names) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const colours = names.map((_, i) => {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.color = `var(--part-${i + 1})`;
    return getComputedStyle(probe).color.match(/\d+/g).map(Number);
  });
  const counts = names.map(() => 0);
  for (let i = 0; i < data.length; i += 4) {
    const at = colours.findIndex(([r, g, b]) => data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255);
    if (at >= 0) counts[at] += 1;
  }
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.map((n) => n / total);
}, types.map(([type]) => type));
types.forEach(([type, n], i) => assert.ok(Math.abs(shares[i] - n / total) < 0.03, `${type}: ${shares[i]} of the ring`));

// Top sources: names, counts, and bars as long as their share of the first.
const sources = await page.locator('#sources').evaluate((list) => [...list.children].map((item) =>
  [item.children[0].textContent, item.children[1].textContent, Number(item.style.getPropertyValue('--share'))]));
assert.deepEqual(sources, stats.top_sources.map(({ source, count }) => [source, text.count(count), count / stats.top_sources[0].count]));

// The pipeline: every thread, as the newest stats say.
await waitUntil('the threads', async () => {
  const shown = await rowsOf(page, '#threads');
  const full = ({ len, capacity }) => (capacity > 0 ? text.percent(len / capacity) : 'none');
  assert.deepEqual(shown, beside.newest.stats.threads.map(({ name, core, busy, ring }) =>
    [name, core === null ? 'any' : String(core), text.percent(busy), full(ring)]));
});

// Closed windows: the table behind the bars, what hovering says, and how high they are.
const numbersOf = async (panel) => {
  const details = page.locator(`#${panel} > details.numbers`);
  if (!(await details.evaluate((node) => node.open))) await details.locator('summary').click();
  return () => rowsOf(page, `#${panel} details.numbers tbody`);
};
const barRows = (results, field) => results.slice(-30).map((result) => [
  text.time(result.window_start), text.time(result.window_end), '', text.exact(result.event_count),
  ...['count', 'sum', 'avg', 'min', 'max', 'std', 'p50', 'p95', 'p99'].map((name) => text.exact(result.aggregates[field]?.[name])),
]);
const realtime = await daemon.get('/api/aggregates/realtime?limit=1000');
const bars = await numbersOf('bars-panel');
await waitUntil('the closed windows', async () => assert.deepEqual(await bars(), barRows(realtime, 'value')));
const newest = realtime.at(-1);
await waitUntil('the newest bar under the pointer', async () => {
  const { title, rows } = await pointAt(page, '#bars-chart', 0.965, 0.85);
  assert.equal(title, text.range(newest.window_start, newest.window_end));
  assert.equal(rows.events, text.count(newest.event_count));
  assert.equal(rows['value max'], text.exact(newest.aggregates.value.max));
});
await page.mouse.move(0, 0);
const heights = await page.locator('#bars-chart').evaluate(async (canvas) => {
  // Without what was under the pointer.
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  const probe = document.body.appendChild(document.createElement('i'));
  probe.style.color = 'var(--part-2)';
  const colour = getComputedStyle(probe).color.match(/\d+/g).map(Number);
  const columns = [];
  for (let x = 0; x < width; x += 1) {
    let n = 0;
    for (let y = 0; y < height; y += 1) if (colour.every((part, i) => data[(y * width + x) * 4 + i] === part)) n += 1;
    columns.push(n);
  }
  // The highest of each run of columns is a bar.
  return columns.reduce((found, n, i) => {
    if (n > 0 && !(columns[i - 1] > 0)) found.push(n);
    else if (n > 0) found[found.length - 1] = Math.max(found.at(-1), n);
    return found;
  }, []);
});
const drawn = realtime.slice(-30);
assert.equal(heights.length, drawn.length, 'a bar for each closed window');
const highest = Math.max(...drawn.map((result) => result.event_count));
drawn.forEach((result, i) => {
  const share = result.event_count / highest;
  assert.ok(Math.abs(heights[i] / Math.max(...heights) - share) < 0.03, `bar ${i}: ${heights[i]} of ${Math.max(...heights)}, should be ${share}`);
});
await page.locator('#window').selectOption('sliding');
// The last of them close some seconds after the last event.
const last = Math.max(...realtime.map((result) => result.window_end)) + 4;
const sliding = await waitFor('all sliding windows', async () => {
  const results = await daemon.get('/api/aggregates/sliding?limit=1000');
  return results.at(-1)?.window_end >= last && results;
});
await waitUntil('the other window', async () => assert.deepEqual(await bars(), barRows(sliding, 'value')));

// A field over time, and another field.
const fieldRows = (field) => realtime.filter((result) => result.aggregates[field]).map((result) => [
  text.time(result.window_start), text.time(result.window_end),
  ...['count', 'avg', 'min', 'max', 'p95'].map((name) => text.exact(result.aggregates[field][name])),
]);
const field = await numbersOf('field-panel');
await waitUntil('the field', async () => assert.deepEqual(await field(), fieldRows('value')));
await page.locator('#fields button', { hasText: 'cpu_percent' }).click();
await waitUntil('the field that was clicked', async () => assert.deepEqual(await field(), fieldRows('cpu_percent')));
assert.match(page.url(), /field=cpu_percent/);
// From now back until the pointer is on a window.
let share = 0.985;
await waitUntil('a window of the field under the pointer', async () => {
  const { rows } = await pointAt(page, '#field-chart', share -= 0.001);
  const found = realtime.find((result) => rows.avg === text.exact(result.aggregates.cpu_percent?.avg));
  assert.ok(found, `avg ${rows.avg}`);
  const { min, max, p95 } = found.aggregates.cpu_percent;
  assert.deepEqual([rows.min, rows.max, rows.p95], [min, max, p95].map(text.exact));
});

// At rest there is nothing to measure: neither the chart nor the card says that it took no time.
await waitUntil('no latencies', async () => {
  assert.equal(beside.newest.stats.processor.latency_ms.max, 0);
  assert.deepEqual(await page.locator('#delays-legend b').allInnerTexts(), Array(3).fill(text.NONE));
  for (const name of ['mean', 'p50', 'p99', 'p999']) assert.equal(await slotText(page, `latency-${name}`), text.NONE, name);
});

// Groups: sorted, filtered, and the history of one.
const bySource = await daemon.get('/api/aggregates/by-source?limit=1000');
const groups = new Map(bySource.map((result) => [result.group.source, result]));
await waitUntil('all groups', async () => assert.match(await page.locator('#groups-count').innerText(), new RegExp(`^${groups.size} of ${groups.size} groups`)));
const most = [...groups.values()].reduce((a, b) => (b.event_count > a.event_count ? b : a));
assert.deepEqual((await rowsOf(page, '#groups'))[0].slice(0, 2), [most.group.source, text.count(most.event_count)]);
await page.locator('#groups-filter').fill('server_1');
const matching = [...groups.keys()].filter((name) => name.includes('server_1')).sort();
await page.locator('#groups-head button', { hasText: 'source' }).click();
await waitUntil('sorted and filtered groups', async () => {
  assert.deepEqual((await rowsOf(page, '#groups')).map(([name]) => name), matching);
  assert.equal(await page.locator('#groups-head th').first().getAttribute('aria-sort'), 'ascending');
});
await page.locator('#groups button').first().click();
const history = await numbersOf('history');
const own = await daemon.get(`/api/aggregates/by-source?limit=200&group=${encodeURIComponent(`source=${matching[0]}`)}`);
await waitUntil('the history of a group', async () => assert.deepEqual(await history(), own.map((result) => [
  text.time(result.window_start), text.time(result.window_end),
  ...['count', 'avg', 'min', 'max', 'p95'].map((name) => text.exact(result.aggregates.cpu_percent[name])),
])));

// What is shown is in the address: another page that opens it shows the same.
const again = await openPage(browser, page.url());
await waitUntil('the shared view', async () => {
  assert.equal(await again.page.locator('#history-title').innerText(), `source ${matching[0]}`);
  assert.equal(await again.page.locator('#field').inputValue(), 'cpu_percent');
  assert.equal(await again.page.locator('#window').inputValue(), 'sliding');
  assert.equal(await again.page.locator('#groups-filter').inputValue(), 'server_1');
});
await again.page.keyboard.press('Escape');
await waitUntil('the history closed', async () => assert.doesNotMatch(again.page.url(), /group=/));
await again.context.close();
await page.locator('#history-close').click();

// A source's history: its count went up.
const source = stats.top_sources[0].source;
await page.locator('#sources button').first().click();
await waitUntil('the history of a source', async () => {
  assert.equal(await page.locator('#history-title').innerText(), source);
  const rates = (await history()).map(([, rate]) => Number(rate.replaceAll(',', '')));
  assert.ok(rates.some((rate) => rate > 100), `${rates}`);
});
await page.locator('#history-close').click();

// Alerts, newest first.
const alerts = (await daemon.get('/api/alerts?limit=50')).reverse();
assert.ok(alerts.length > 0);
await waitUntil('the alerts', async () => assert.deepEqual(
  await page.locator('#alerts .message').allInnerTexts(), alerts.map(({ message }) => message)));

// Files: the same numbers again.
const download = async (panel, kind) => {
  await numbersOf(panel);
  const [file] = await Promise.all([page.waitForEvent('download'), page.locator(`#${panel} details.numbers button`, { hasText: kind }).click()]);
  return readFileSync(await file.path(), 'utf8');
};
const json = JSON.parse(await download('bars-panel', 'JSON'));
assert.deepEqual(json.map(({ start, events }) => [start, events]), sliding.slice(-30).map((result) => [result.window_start, result.event_count]));
const csv = (await download('mix-panel', 'CSV')).trim().split('\r\n');
assert.deepEqual(csv, ['type,events', ...types.map(([type, n]) => `${type},${n}`)]);
const [all] = await Promise.all([page.waitForEvent('download'), page.locator('#download').click()]);
const everything = JSON.parse(readFileSync(await all.path(), 'utf8'));
assert.equal(everything.stats.events.received, total);
assert.equal(everything['top-sources'][0].events, stats.top_sources[0].count);

assert.deepEqual(complaints, []);
beside.stop();
await browser.close();
await daemon.end();
console.log('ok: cards, charts, tables, histories, files and shared views show what the daemon says');
