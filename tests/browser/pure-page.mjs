// Parts that draw or connect, without a browser: whatever they do to a document comes to nothing, and what they would draw
// is looked at.

import assert from 'node:assert/strict';
import test, { mock } from 'node:test';

const nothing = new Proxy(function none() {}, {
  get: (_, name) => (name === Symbol.iterator ? () => Array(5).fill(nothing).values() : name === Symbol.toPrimitive ? () => '' : nothing),
  set: () => true,
  apply: () => nothing,
  construct: () => nothing,
});
for (const name of ['document', 'ResizeObserver', 'Option', 'requestAnimationFrame']) globalThis[name] = nothing;

const { health } = await import('./static/cards.js');
const { Chart, polyline } = await import('./static/charts.js');
const { FieldChart } = await import('./static/graphs.js');
const { History } = await import('./static/history.js');
const { cut } = await import('./static/numbers.js');
const { paintLines } = await import('./static/plots.js');
const { Store } = await import('./static/store.js');
const { Newest, Stream } = await import('./static/stream.js');
const { DEFAULTS } = await import('./static/view.js');

/** What a chart is given to show by `draw()`. */
function shownBy(draw) {
  const show = mock.method(Chart.prototype, 'show', () => {});
  draw();
  show.mock.restore();
  return show.mock.calls.at(-1).arguments[0];
}

/** Where a painter puts its pen: `[name, ...coordinates]`. */
function moves(paint) {
  const done = [];
  const context = new Proxy({}, {
    get: (_, name) => (name === 'measureText' ? () => ({ width: 1 }) : (...given) => ['moveTo', 'lineTo'].includes(name) && done.push([name, ...given])),
    set: () => true,
  });
  paint({ context, palette: { of: () => '' }, width: 1000, height: 300, rem: 16 });
  return done;
}

const sliding = (i, more = {}) => ({ window: 'sliding', window_start: i * 2, window_end: i * 2 + 6, event_count: i, aggregates: { value: { avg: i, min: i, max: i, p95: i } }, ...more });

test('windows that overlap stand side by side in the history of a group, and no step overlaps', () => {
  const store = new Store();
  store.windows = [{ name: 'sliding', group_by: ['source'], slide_seconds: 2 }];
  const history = new History(() => {});
  history.results = [0, 1, 2, 5].map((i) => sliding(i));
  for (const [field, named] of [['value', 'avg'], ['none', 'events']]) {
    const model = shownBy(() => history.draw(store, { ...DEFAULTS, field, groups: 'sliding', group: ['source=a'] }));
    const { x, ends } = model.series.find(({ name }) => name === named);
    assert.deepEqual([[...x], [...ends]], [[4, 6, 8, 14], [6, 8, 10, 16]], named);
  }
});

test('steps are joined only where one ends as the next begins', () => {
  const [x, ends] = [Float64Array.of(0, 2, 3, 8), Float64Array.of(2, 5, 5, 10)];
  const series = [{ name: 'a', colour: 'a', x, ends, y: Float64Array.of(1, 2, 3, 4) }];
  const drawn = moves((pen) => paintLines(pen, { from: 0, to: 10, series, scale: {}, format: String, heading: String }));
  // Behind those of the axes: each step has a line, and only the second is joined.
  assert.deepEqual(drawn.slice(-8).map(([name]) => name), ['moveTo', 'lineTo', 'lineTo', 'lineTo', 'moveTo', 'lineTo', 'moveTo', 'lineTo']);
});

test('a line goes over seconds without a value, if they are few', () => {
  const y = Float64Array.of(1, NaN, 2, NaN, NaN, NaN, 3);
  const x = Float64Array.from(y, (_, i) => i);
  let pieces;
  const drawn = moves(({ context }) => { pieces = polyline(context, { x, y, gap: 3 }, (at) => at, (at) => at); });
  assert.deepEqual(drawn, [['moveTo', 0, 1], ['lineTo', 2, 2], ['moveTo', 6, 3]]);
  assert.deepEqual(pieces, [[0, 3], [6, 7]]);
});

test('the field chart shows the first window without groups, by its own slide', () => {
  const store = new Store();
  store.windows = [{ name: 'by-source', group_by: ['source'] }, { name: 'sliding', group_by: [], slide_seconds: 2 }];
  store.results.set('sliding', [sliding(0), sliding(1)]);
  const { series } = shownBy(() => new FieldChart().draw(store, { ...DEFAULTS, field: 'value' }));
  assert.deepEqual([...series.find(({ name }) => name === 'avg').x], [4, 6]);
});

test('of a list its first rows are shown, of what goes on its newest, and it is said which', () => {
  const rows = Array.from({ length: 1000 }, (_, i) => [i]);
  const ends = (numbers) => {
    const { shown, note } = cut(numbers);
    return [shown.length, shown[0][0], shown.at(-1)[0], note];
  };
  assert.deepEqual(ends({ rows }), [200, 800, 999, 'The newest 200 of 1,000.']);
  assert.deepEqual(ends({ rows, isList: true }), [200, 0, 199, 'The first 200 of 1,000.']);
  assert.deepEqual(ends({ rows: rows.slice(0, 200), isList: true }), [200, 0, 199, '']);
});

test('whether events come in is not judged by one second', () => {
  const store = new Store();
  const said = new Set();
  let received = 0;
  const second = (i, came, measured) => {
    received += came;
    store.takeStats({
      timestamp: new Date(1.7e12 + i * 1000).toISOString(), uptime_seconds: i, buffer: { utilization: 0 }, top_sources: [],
      processor: { events_per_second: came, processing_time_ms: came, latency_ms: { max: measured, p50: measured } },
      events: { received, dropped: 0, rejected: 0, late: 0 },
    });
    return health(store, null)[1];
  };
  for (let i = 0; i < 30; i += 1) said.add(second(i, (i + 1) % 2, 1));
  assert.deepEqual([...said], ['All well'], 'an event every other second');
  for (let i = 30; i < 38; i += 1) assert.equal(second(i, 0, 1), 'All well');
  for (let i = 38; i < 50; i += 1) second(i, 0, 0);
  assert.equal(second(50, 0, 0), 'No events are coming in');
  assert.equal(second(51, 1, 0), 'All well', 'also one that is filtered, of which nothing is measured');
});

test('of a task only the newest run counts, and it is known whether that one goes on', async () => {
  const newest = new Newest();
  const signals = [];
  const ends = [];
  const run = () => newest.run((signal) => new Promise((end) => { signals.push(signal); ends.push(end); }));
  const runs = [run(), run()];
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true, false]);
  ends[0]();
  await runs[0];
  assert.ok(newest.isRunning, 'the end of an old run is not that of the new one');
  ends[1]();
  await runs[1];
  assert.equal(newest.isRunning, false);
  run();
  assert.ok(signals[1].aborted, 'what a run has left for later can see that there is another');
});

/** A stream whose clock and answers are in the test's hands. */
function startStream(t) {
  const sources = [];
  const asked = []; // {signal, answer(path), fail()}
  const said = [];
  let now = 0;
  let watch;
  t.mock.method(performance, 'now', () => now);
  t.mock.method(globalThis, 'setInterval', (task) => { watch = task; });
  globalThis.EventSource = class EventSource {
    static OPEN = 1;
    static CLOSED = 2;
    readyState = 0;
    listeners = {};
    constructor(path) { sources.push(Object.assign(this, { path })); }
    addEventListener(name, task) { this.listeners[name] = task; }
    close() { this.readyState = 2; }
  };
  const stream = new Stream({
    names: ['stats'], take: () => {}, opened: () => {}, freshness: (since) => said.push(since),
    path: (lastId, signal) => new Promise((answer, fail) => asked.push({ lastId, signal, answer, fail })),
  });
  const pass = async (seconds) => {
    for (let i = 0; i < seconds; i += 1) {
      now += 1000;
      watch();
      await new Promise(setImmediate);
    }
  };
  return { stream, sources, asked, said, pass };
}

test('a stream waits for a slow answer instead of asking again', async (t) => {
  const { sources, asked, said, pass } = startStream(t);
  await pass(9);
  assert.equal(asked.length, 1);
  assert.equal(said.length, 1, 'and says that it has nothing new');
  asked[0].answer('/late');
  await pass(5);
  assert.deepEqual(sources.map(({ path }) => path), ['/late']);
  assert.equal(asked.length, 1, 'which is given its time');
});

test('a stream is tried again when nothing came of it, and the old try is given up', async (t) => {
  const { stream, sources, asked, pass } = startStream(t);
  asked[0].fail(new Error('no daemon'));
  await pass(4);
  assert.equal(asked.length, 2, 'the watch asks again');
  stream.connect();
  assert.deepEqual(asked.map(({ signal }) => signal.aborted), [true, true, false]);
  asked[1].answer('/old');
  asked[2].answer('/new');
  await pass(1);
  assert.deepEqual(sources.map(({ path }) => path), ['/new']);
});

test('a stream counts no time by a clock that may be set', async (t) => {
  const { sources, asked, said, pass } = startStream(t);
  asked[0].answer('/stream');
  await pass(1);
  sources[0].readyState = 1;
  const hear = () => sources[0].listeners.stats({ data: '{}', lastEventId: '7' });
  hear();
  const wall = Date.now();
  t.mock.method(Date, 'now', () => wall + 3.6e6);
  await pass(2);
  assert.deepEqual([said, asked.length], [[], 1], 'not by one that is set forward');
  Date.now.mock.restore();
  t.mock.method(Date, 'now', () => wall - 3.6e6);
  await pass(20);
  assert.equal(said.length, 1);
  assert.deepEqual(asked.map(({ lastId }) => lastId), ['', '7'], 'nor by one that is set back');
});
