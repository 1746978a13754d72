// What the page knows of a daemon and keeps of it: static/store.js, fed with what a daemon says.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Store } from './static/store.js';

const result = (end, more = {}) => ({ window_start: end - 10, window_end: end, revision: 0, group: {}, event_count: end, aggregates: {}, ...more });

const stats = (time, more = {}) => ({
  timestamp: new Date(time * 1000).toISOString(), uptime_seconds: time - 1e9,
  processor: { events_per_second: time, processing_time_ms: 1, latency_ms: { p50: 1, p99: 2, p999: 3, max: 4 } },
  buffer: { utilization: 0 }, events: { received: 0, dropped: 0, rejected: 0, late: 0 }, top_sources: [], ...more,
});

test('what is lost is counted over ten seconds', () => {
  const store = new Store();
  const lost = (time, rejected) => {
    store.takeStats(stats(time, { events: { received: 9, dropped: 0, rejected, late: 0 } }));
    return store.lately.rejected;
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
  store.takeHistory([{ name: 'realtime', group_by: [] }], new Map([['realtime', [realtime(20), realtime(30)]]]), [], []);
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

const plain = { name: 'realtime', group_by: [] };
const alert = (second, state, name = 'hot') => ({
  name, window: 'realtime', group: {}, state, level: 'critical', time: new Date(1.7e12 + second * 1000).toISOString(),
});
const firing = (store) => [...store.firing.values()].map(({ name }) => name);

test('an alert that fires is not forgotten for the changes of others', () => {
  const store = new Store();
  store.takeAlert(alert(0, 'firing', 'main'));
  for (let i = 1; i <= 250; i += 1) store.takeAlert(alert(i, i % 2 === 1 ? 'firing' : 'resolved'));
  assert.equal(store.alerts.length, 200);
  assert.deepEqual(firing(store), ['main']);
  store.takeAlert(alert(300, 'resolved', 'main'));
  assert.deepEqual(firing(store), []);
});

test('what fires is what the daemon says when it is asked, and then what the stream has brought meanwhile', () => {
  const store = new Store();
  store.takeAlert(alert(0, 'firing', 'before'));
  store.beginHistory();
  store.takeAlert(alert(5, 'resolved', 'over'));
  store.takeAlert(alert(6, 'firing', 'new'));
  store.takeHistory([plain], new Map(), [], [alert(1, 'firing', 'over'), alert(2, 'firing', 'old')]);
  assert.deepEqual(firing(store), ['old', 'new'], 'the daemon is another one: what fired before it knows nothing of');
  store.beginHistory();
  store.takeHistory([plain], new Map(), [], [alert(2, 'firing', 'old')]);
  assert.deepEqual(firing(store), ['old'], 'meanwhile is since it was asked');
});

const live = (end, fields = { value: 1 }) => result(end, {
  window: 'realtime', final: false, aggregates: Object.fromEntries(Object.keys(fields).map((name) => [name, { count: 1, sum: 1 }])),
});
const ends = (list) => list.map((r) => r.window_end);

test('a window whose own result was missed is no longer open once a later one has closed', () => {
  const store = new Store();
  store.windows = [plain];
  [10, 20, 30].forEach((end) => store.takeLive(live(end)));
  assert.deepEqual([ends(store.open), store.live.window_end], [[10, 20, 30], 30]);
  store.takeResult(live(20));
  assert.deepEqual(ends(store.withOpen('realtime')), [20, 30]);
  store.takeLive(live(40));
  store.takeHistory([plain], new Map([['realtime', [live(20), live(30)]]]), [], []);
  assert.deepEqual(ends(store.open), [40], 'nor if it was loaded');
  store.takeResult({ ...live(60), window: 'minute' });
  assert.deepEqual(ends(store.open), [40], 'another window says nothing of it');
  store.takeResult(live(50));
  assert.equal(store.live, undefined, 'and nothing is filling now');
});

test('a live result of many groups together ends with the results of its groups, and with its daemon', () => {
  const store = new Store();
  store.takeLive(live(10));
  store.noteClosed([result(10, { window: 'realtime', group: { source: 'a' } }), result(10, { window: 'realtime', group: { source: 'b' } })]);
  assert.equal(store.live, undefined);
  store.takeLive(live(20));
  store.takeStats(stats(1.7e9));
  store.takeStats(stats(1.7e9 + 1, { uptime_seconds: 1 }));
  assert.equal(store.live, undefined);
});

test('the page shows the fields of the first window without groups', () => {
  const store = new Store();
  const grouped = { name: 'by-source', group_by: ['source'] };
  assert.equal(store.first, undefined);
  store.windows = [grouped];
  assert.equal(store.first, grouped, 'whose live results are of all groups');
  store.windows = [grouped, plain, { name: 'minute', group_by: [] }];
  assert.equal(store.first, plain);
});

test('many names of fields take the place of none that is in use', () => {
  const store = new Store(() => ['value', 'zoom']);
  const now = Date.now() / 1000;
  const odd = (from) => Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`a${from + i}`, 1]));
  const followed = () => ['value', 'zoom'].map((name) => [store.fields.has(name), store.traces.get(name)?.length ?? 0]);
  // Live results a second apart, of windows a minute long.
  const take = (second, fields) => {
    store.takeStats(stats(now + second * 3));
    store.takeLive({ ...live(now + second * 3 + 30, fields), window_start: now + second * 3 - 30 });
  };
  take(0, odd(0));
  for (let i = 1; i <= 3; i += 1) take(i, { ...odd(0), value: 1, zoom: 1 });
  assert.deepEqual(followed(), [[true, 3], [true, 3]], 'after a flood');
  for (let i = 4; i <= 6; i += 1) take(i, odd(i * 1000));
  assert.deepEqual(followed(), [[true, 3], [true, 3]], 'and through the next one');
  take(7, { own: 1 });
  assert.ok(store.fields.has('own') && store.traces.has('own'), 'what comes later has its place as well');
  assert.ok(store.fields.size <= 200 && store.traces.size <= 24, `${store.fields.size} fields, ${store.traces.size} traces`);
});

test('a clock that is set back takes nothing along', () => {
  const store = new Store();
  const start = Date.now() / 1000;
  const second = (i, clock, rejected) => store.takeStats(stats(clock + i, { uptime_seconds: 100 + i, events: { received: 9, dropped: 0, rejected, late: 0 } }));
  for (let i = 0; i < 5; i += 1) second(i, start, i);
  store.takeLive(live(start));
  assert.equal(store.lately.rejected, 4);
  for (let i = 5; i < 20; i += 1) second(i, start - 3600, 4);
  assert.equal(store.lately.rejected, 0);
  for (let i = 0; i < 2; i += 1) {
    second(20 + i * 2, start - 3600, 4);
    store.takeLive(live(start - 3590));
  }
  assert.equal(store.traces.get('value')?.length, 1, 'means go on from there');
});

test('of a stream of one event every other second the mean is known where there was one', () => {
  const store = new Store();
  const second = (i, mean, max) => store.takeStats(stats(1.7e9 + i, {
    processor: { events_per_second: mean > 0 ? 1 : 0, processing_time_ms: mean, latency_ms: { p50: max, p99: max, p999: max, max } },
  }));
  [0, 3, 0, 5, 0].forEach((mean, i) => second(i, mean, 5));
  assert.deepEqual([...store.series.column('mean')], [NaN, 3, NaN, 5, NaN]);
  assert.deepEqual(store.latencies, { mean: 5, p50: 5, p99: 5, p999: 5 }, 'the card keeps the newest');
  second(5, 0, 0);
  assert.deepEqual(store.latencies, {}, 'until nothing was measured in ten seconds');
  assert.ok(Number.isNaN(store.series.newest('p50')));
});
