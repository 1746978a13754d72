// The page's parts that know no page: scales and ticks, text, bounded series, results, addresses, files.

import assert from 'node:assert/strict';
import test from 'node:test';
import { csv } from './static/csv.js';
import * as text from './static/format.js';
import * as results from './static/results.js';
import * as scale from './static/scale.js';
import { Series } from './static/series.js';
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

test('an axis has bounds whatever the values are', () => {
  const odd = [0, 5e-324, 1e-310, 1e-300, 1e-299, 1, 1 + 2 ** -52, 1e16, 1e300, 1e308, 1.5e308, Number.MAX_VALUE];
  const all = [...odd, ...odd.map((x) => -x)];
  for (const lo of all) {
    for (const hi of all.filter((x) => x >= lo)) {
      const [from, to] = scale.steady(null, lo, hi);
      assert.ok(from < to && Number.isFinite(to - from), `${lo} to ${hi}: ${from} to ${to}`);
      const marks = scale.ticks(from, to, 5);
      assert.ok(marks.length > 0 && marks.length < 20 && marks.every(Number.isFinite), `${lo} to ${hi}: ${marks}`);
    }
  }
  assert.deepEqual(scale.steady(null, -1e308, 1.5e308), [-4e307, 4e307], 'no further than an axis can go');
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

test('alerts count once', () => {
  const alert = (time, state, name = 'hot') => ({ name, window: 'w', group: {}, state, time: `2026-01-01T00:00:0${time}Z` });
  const list = results.mergeAlerts([alert(1, 'firing')], [alert(3, 'resolved'), alert(1, 'firing'), alert(2, 'firing', 'cold')], 10);
  assert.deepEqual(list.map((a) => a.time.at(-2)), ['1', '2', '3']);
  assert.equal(results.mergeAlerts(list, [alert(4, 'firing')], 2).length, 2);
});

test('of names that strangers choose so many are kept: those wanted, those known, then new ones for the longest unseen', () => {
  const kept = new Map();
  const see = (...names) => results.see(kept, names, 3, ['main'], () => names.length);
  const shown = () => [...kept.keys()].sort().join('');
  see('a', 'b', 'main');
  see('b', 'a', 'x', 'y', 'z');
  assert.equal(shown(), 'abmain', 'what is seen all the time stays');
  assert.equal(kept.get('a'), 3, 'as it is');
  see('b', 'x');
  assert.equal(shown(), 'bmainx', 'what is not goes');
  see('p', 'q', 'r', 's');
  assert.equal(shown(), 'mainpq', 'and what is wanted does not');
  see(...Array.from({ length: 250 }, (_, i) => `n${i}`), 'late');
  assert.equal(kept.size, 3);
  kept.clear();
  see('a', 'b', 'c', 'd', 'main');
  assert.equal(shown(), 'abmain', 'also when all of them are new');
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
