// The page's parts that know no page: scales and ticks, text, bounded series, results, addresses, files.

import assert from 'node:assert/strict';
import test from 'node:test';
import { csv } from './static/csv.js';
import * as text from './static/format.js';
import * as results from './static/results.js';
import * as scale from './static/scale.js';
import { Series } from './static/series.js';
import { Store } from './static/store.js';
import { DEFAULTS, format, parse } from './static/view.js';

test('steps are 1, 2 or 5 times a power of ten and cut into no more parts than asked', () => {
  for (let i = 0; i < 2000; i += 1) {
    const span = 10 ** (Math.random() * 24 - 12);
    const parts = 1 + Math.floor(Math.random() * 12);
    const step = scale.niceStep(span, parts);
    const mantissa = Number((step / 10 ** Math.floor(Math.log10(step) + 1e-9)).toPrecision(6));
    assert.ok([1, 2, 5, 10].includes(mantissa), `${step}`);
    assert.ok(span / step <= parts * (1 + 1e-6), `${span} by ${step}: more than ${parts}`);
    assert.ok(span / step > parts / 2.6, `${span} by ${step}: too few for ${parts}`);
  }
  assert.equal(scale.niceStep(0, 5), 1);
});

test('ticks are within the bounds, and have no dust', () => {
  assert.deepEqual(scale.ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(scale.ticks(-0.3, 0.3, 6), [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]);
  assert.deepEqual(scale.ticks(17, 83, 4), [20, 40, 60, 80]);
  assert.deepEqual(scale.ticks(1e9, 1e9 + 4, 4), [1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4]);
  assert.ok(Object.is(scale.ticks(-1, 1, 2)[1], 0), 'not -0');
});

test('times are cut where clocks are', () => {
  assert.equal(scale.timeStep(120, 8), 15);
  assert.equal(scale.timeStep(3600, 6), 600);
  assert.equal(scale.timeStep(86400 * 30, 6), 86400 * 5);
  assert.deepEqual(scale.timeTicks(1003, 1062, 15), [1005, 1020, 1035, 1050]);
  // Half an hour ahead of UTC: full hours of that clock.
  assert.deepEqual(scale.timeTicks(0, 7200, 3600, 1800), [1800, 5400]);
});

test('an axis stands still while values stay within it', () => {
  const first = scale.steady(null, 21, 79);
  assert.deepEqual(first, [20, 80]);
  assert.equal(scale.steady(first, 30, 75), first);
  assert.deepEqual(scale.steady(first, 30, 85), [20, 100]);
  assert.deepEqual(scale.steady(first, 50, 52), [50, 52], 'and follows when they shrink for good');
  assert.deepEqual(scale.steady(null, Infinity, -Infinity), [0, 1], 'no values');
  const [lo, hi] = scale.steady(null, 50, 50);
  assert.ok(lo < 50 && hi > 50, 'a flat line is in the middle');
  assert.deepEqual(scale.steady(null, 0, 0), [0, 1]);
});

test('a logarithmic axis has whole decades', () => {
  assert.deepEqual(scale.decades(null, 0.03, 53), [0.01, 100]);
  assert.deepEqual(scale.decades([0.01, 100], 0.05, 60), [0.01, 100]);
  assert.deepEqual(scale.decades(null, 0.1, 0.1), [0.1, 1]);
  assert.deepEqual(scale.logTicks(0.01, 100, 5), [0.01, 0.1, 1, 10, 100]);
  assert.deepEqual(scale.logTicks(1, 10, 4), [1, 2, 5, 10]);
  assert.deepEqual(scale.logTicks(1e-6, 1e6, 6), [1e-6, 1e-4, 0.01, 1, 100, 1e4, 1e6]);
  const toY = scale.logarithmic(1, 100, 200, 0);
  assert.deepEqual([toY(1), toY(10), toY(100), toY(0), toY(-5)], [200, 100, 0, 200, 200]);
  assert.ok(Number.isNaN(toY(NaN)));
});

test('points are found by their time', () => {
  const xs = [1, 2, 4, 8];
  assert.deepEqual([0, 1, 3, 8, 99].map((x) => scale.indexAt(xs, x)), [-1, 0, 1, 3, 3]);
  assert.deepEqual([0, 2.9, 3.1, 99].map((x) => scale.nearest(xs, x)), [0, 1, 2, 3]);
  assert.equal(scale.nearest(xs, 20, 5), -1);
  assert.equal(scale.nearest([], 1), -1);
});

test('numbers as text', () => {
  assert.deepEqual([0, 950, 1234, 34_000, 1.5e6, -2e9, 999_999].map(text.short), ['0', '950', '1.23k', '34k', '1.5M', '-2G', '1M']);
  assert.deepEqual([0, 0.00001, 0.005, 0.5, 1].map(text.percent), ['0.0 %', '<0.01 %', '0.50 %', '50.0 %', '100.0 %']);
  assert.deepEqual([0, 1.005, 123456.7, 0.0012, 2e9].map(text.measure), ['0.00', '1.01', '123,457', '1.20e-3', '2.00e+9']);
  assert.deepEqual([512, 2048, 1.5 * 2 ** 30].map(text.bytes), ['512 B', '2 KiB', '1.5 GiB']);
  assert.deepEqual([12.34, 90, 5400, 200_000].map(text.span), ['12.3 s', '1.5 min', '1.5 h', '2.3 d']);
  assert.equal(text.exact(54.123456789), '54.123456789');
  for (const write of [text.count, text.millis, text.percent, text.measure, text.bytes, text.exact, text.short]) {
    for (const nothing of [undefined, null, NaN, Infinity]) assert.equal(write(nothing), text.NONE);
  }
  assert.equal(text.groupWords({ source: 'a', rack: null }), 'source a, rack (none)');
  const noon = new Date(2026, 0, 2, 12, 0, 5);
  assert.equal(text.time(noon / 1000, noon), '12:00:05');
  assert.equal(text.time(noon / 1000 - 86400, noon), '2026-01-01 12:00:05');
});

test('a series keeps the newest rows, in order', () => {
  const series = new Series(['a'], 3);
  assert.equal(series.last, -Infinity);
  for (let i = 0; i < 1000; i += 1) {
    series.push(i, i === 998 ? {} : { a: i * 10 });
    assert.equal(series.length, Math.min(3, i + 1));
    assert.equal(series.last, i);
  }
  assert.deepEqual([...series.column('time')], [997, 998, 999]);
  assert.deepEqual([...series.column('a')], [9970, NaN, 9990]);
  assert.equal(series.newest('a', 2), 9970);
  assert.ok(Number.isNaN(series.newest('a', 3)));
});

const result = (end, more = {}) => ({ window_start: end - 10, window_end: end, revision: 0, group: {}, event_count: end, aggregates: {}, ...more });

test('results are kept in order, bounded, and revisions take their predecessors\' place', () => {
  let list = [];
  for (const end of [30, 10, 20, 40]) list = results.remember(list, result(end), 3);
  assert.deepEqual(list.map((r) => r.window_end), [20, 30, 40]);
  list = results.remember(list, result(30, { revision: 1, event_count: 99 }), 3);
  assert.deepEqual(list.map((r) => r.event_count), [20, 99, 40]);
  assert.equal(results.remember(list, result(30), 3), list, 'an older revision changes nothing');
  const grown = result(45, { window_start: 20, replaces: [{ window_start: 20, window_end: 30 }, { window_start: 30, window_end: 40 }] });
  assert.deepEqual(results.remember(list, grown, 3).map((r) => r.window_end), [20, 45]);
  const groups = [result(10, { group: { s: 'a' } }), result(10, { group: { s: 'b' } }), result(20, { group: { s: 'a' } })];
  assert.deepEqual(results.newestOfGroups(groups).map((r) => [r.group.s, r.window_end]), [['a', 20], ['b', 10]]);
});

test('alerts count once, and those that are over do not fire', () => {
  const alert = (time, state, name = 'hot') => ({ name, window: 'w', group: {}, state, time: `2026-01-01T00:00:0${time}Z` });
  const list = results.mergeAlerts([alert(1, 'firing')], [alert(3, 'resolved'), alert(1, 'firing'), alert(2, 'firing', 'cold')], 10);
  assert.deepEqual(list.map((a) => a.time.at(-2)), ['1', '2', '3']);
  assert.deepEqual(results.firing(list).map((a) => a.name), ['cold']);
  assert.equal(results.mergeAlerts(list, [alert(4, 'firing')], 2).length, 2);
});

test('an address says what differs from the default, and nothing else gets in', () => {
  assert.equal(format(DEFAULTS), '');
  const view = { ...DEFAULTS, field: 'a.b', group: ['source=x&y', 'rack'], range: '1h', theme: 'dark', filter: '<b>' };
  assert.deepEqual(parse(format(view)), view);
  assert.deepEqual(parse('#range=9y&theme=red&stat=mode&colour=1'), DEFAULTS);
  assert.equal(parse(`#field=${'x'.repeat(999)}`).field.length, 256);
});

test('comma-separated values are quoted, and no formulas', () => {
  const rows = [['a,b', 1.5], ['say "x"', null], ['=SUM(A1)', -2], ['line\nbreak', undefined]];
  const expected = ['name,value', '"a,b",1.5', '"say ""x""",', '\'=SUM(A1),-2', '"line\nbreak",', ''];
  assert.equal(csv({ columns: ['name', 'value'], rows }), expected.join('\r\n'));
});

test('drawing is done once a frame, and one part that fails takes no other with it', async () => {
  const frames = [];
  const failures = [];
  globalThis.requestAnimationFrame = (task) => frames.push(task);
  globalThis.reportError = (error) => failures.push(error.message);
  const { soon } = await import('./static/frame.js');
  const drawn = [];
  const [first, second] = [() => drawn.push('first'), () => { drawn.push('second'); throw new Error('second'); }];
  for (let i = 0; i < 1000; i += 1) [second, first].forEach(soon);
  assert.deepEqual([frames.length, drawn], [1, []], 'nothing before the frame, which a hidden page does not get');
  frames.shift()();
  assert.deepEqual([drawn, failures, frames.length], [['second', 'first'], ['second'], 0]);
  soon(first);
  assert.equal(frames.length, 1, 'and again');
});

const stats = (time, more = {}) => ({
  timestamp: new Date(time * 1000).toISOString(), uptime_seconds: time - 1e9,
  processor: { events_per_second: time, processing_time_ms: 1, latency_ms: { p50: 1, p99: 2, p999: 3, max: 4 } },
  buffer: { utilization: 0 }, events: { dropped: 0, rejected: 0, late: 0 }, top_sources: [], ...more,
});

test('what is lost is counted over ten seconds', () => {
  const store = new Store();
  const lost = (time, rejected) => {
    store.takeStats(stats(time, { events: { dropped: 0, rejected, late: 0 } }));
    return store.losing.rejected;
  };
  const start = 1.7e9;
  assert.equal(lost(start, 7), 0, 'what was lost before the page was opened is no news');
  assert.equal(lost(start + 1, 9), 2);
  for (let second = 2; second < 11; second += 1) lost(start + second, 9);
  assert.equal(lost(start + 12, 9), 0);
});

test('sources are followed, so many and no more, and from a new daemon anew', () => {
  const store = new Store();
  const start = 1.7e9;
  for (let second = 0; second < 500; second += 1) {
    store.takeStats(stats(start + second, { top_sources: [{ source: 'always', count: second * 5 }, { source: `s${second}`, count: 1 }] }));
  }
  assert.ok(store.sources.size <= 64);
  assert.equal(store.sources.get('always').length, 500);
  store.takeStats(stats(start + 501, { uptime_seconds: 1 }));
  assert.equal(store.sources.size, 0);
  assert.equal(store.series.length, 501, 'rates go on');
  store.takeStats(stats(start, { uptime_seconds: 2 }));
  assert.equal(store.series.length, 1, 'but not when the clock was set back');
});

test('the past and what the stream brings meanwhile are one', () => {
  const store = new Store();
  const realtime = (end, more) => result(end, { window: 'realtime', ...more });
  store.takeResult(realtime(10));
  store.beginHistory();
  store.takeLive(realtime(40, { final: false }));
  store.takeResult(realtime(30));
  store.takeResult(realtime(30, { revision: 1, event_count: 31 }));
  store.takeHistory([{ name: 'realtime', group_by: [] }], new Map([['realtime', [realtime(20), realtime(30)]]]));
  assert.deepEqual(store.results.get('realtime').map((r) => r.event_count), [20, 31]);
  assert.deepEqual(store.withOpen('realtime').map((r) => r.window_end), [20, 30, 40]);
  store.takeResult(realtime(40));
  assert.deepEqual(store.withOpen('realtime').map((r) => r.window_end), [20, 30, 40], 'closed, no longer open');
  for (let end = 50; end < 9000; end += 10) store.takeResult(realtime(end));
  assert.equal(store.results.get('realtime').length, 400);
});

test('charts end now, or where a replay has got to', () => {
  const store = new Store();
  const now = Date.now() / 1000;
  assert.ok(Math.abs(store.eventNow([result(now + 5)]) - now) < 1);
  assert.equal(store.eventNow([result(1e9)]), 1e9);
  store.takeStats(stats(now - 3600));
  assert.ok(Math.abs(store.now() - (now - 3600)) < 1, 'by the daemon\'s clock');
});
