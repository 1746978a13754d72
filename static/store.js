// What the page knows: the newest state and a bounded past of it. It takes events in and is read by
// whatever draws; it touches no element.

import { known } from './format.js';
import { firing, mergeAlerts, remember, resultKey } from './results.js';
import { Series } from './series.js';

const STATS_KEPT = 3600; // seconds
const TRACE_KEPT = 2500; // ten minutes of quarters of a second
const TRACE_STEP = 0.24; // seconds; live results that come faster are put together
const RESULTS_KEPT = 400; // of each window, as long as they have few fields
const FIGURES_KEPT = 40_000; // fields of all kept results of a window
export const ALERTS_KEPT = 200;
const FIELDS_KEPT = 200;
const MEANWHILE = 100;
const TRACES = 24; // fields whose means are followed
const SOURCES = 64; // whose counts are followed
const SOURCE_KEPT = 600; // seconds
const CLOCK_BACK = 5; // seconds; a clock that is set back by more begins the past anew

const LATENCIES = ['mean', 'p50', 'p99', 'p999'];

export class Store {
  stats = null;
  live = null;
  windows = []; // as /api/windows lists them
  results = new Map(); // window name -> its newest results, oldest first; of windows without groups
  open = []; // the last live results of windows that have not closed yet
  alerts = []; // oldest first
  fields = new Set();
  series = new Series(['rate', 'utilization', ...LATENCIES], STATS_KEPT);
  traces = new Map(); // field -> Series of the means between one live result and the next
  sources = new Map(); // source -> Series of its count
  #before = null; // the live result from which the traces go on
  #clockAhead = 0; // seconds that the daemon's clock is ahead of this one
  #meanwhile = []; // the newest results that the stream has brought, for what is loaded beside it
  #lost = null; // counters of events that came to nothing, as they were some seconds ago
  losing = {}; // how many of them in those seconds

  /** The daemon's time, seconds. */
  now() {
    return Date.now() / 1000 + this.#clockAhead;
  }

  get first() {
    return this.windows[0]?.name;
  }

  takeStats(stats) {
    const time = Date.parse(stats.timestamp) / 1000;
    const ahead = time - Date.now() / 1000;
    // Frames are delayed by some milliseconds, and by differing ones; that is no other clock.
    if (Math.abs(ahead - this.#clockAhead) > 1.5) this.#clockAhead = Math.abs(ahead) > 1.5 ? ahead : 0;
    if (time < this.series.last - CLOCK_BACK) this.#clockWentBack();
    if (this.stats && stats.uptime_seconds < this.stats.uptime_seconds) this.#daemonIsNew();
    this.stats = stats;
    const { processor, buffer } = stats;
    const { p50, p99, p999 } = processor.latency_ms;
    const idle = processor.latency_ms.max === 0;
    const latencies = idle ? {} : { mean: processor.processing_time_ms, p50, p99, p999 };
    if (time > this.series.last) {
      this.series.push(time, { rate: processor.events_per_second, utilization: buffer.utilization, ...latencies });
    }
    this.#followSources(time, stats.top_sources);
    this.#followLosses(time, stats.events);
  }

  #clockWentBack() {
    this.series.clear();
    this.sources.clear();
    this.traces.clear();
  }

  #daemonIsNew() {
    this.sources.clear();
    this.open = [];
    this.#lost = null;
    this.#before = null;
  }

  #followSources(time, sources) {
    for (const { source, count } of sources) {
      const series = this.sources.get(source) || new Series(['count'], SOURCE_KEPT);
      this.sources.delete(source); // and in again at the end: the first one is the longest unseen
      this.sources.set(source, series);
      if (time > series.last) series.push(time, { count });
    }
    while (this.sources.size > SOURCES) this.sources.delete(this.sources.keys().next().value);
  }

  /** Over ten seconds, so that what is lost now and then is seen, and what was lost once passes. */
  #followLosses(time, { dropped, rejected, late }) {
    const counts = { time, dropped, rejected, late };
    this.#lost = [...(this.#lost || []), counts].filter((old) => old.time > time - 10.5);
    const [oldest] = this.#lost;
    for (const name of ['dropped', 'rejected', 'late']) this.losing[name] = counts[name] - oldest[name];
  }

  takeLive(result) {
    this.learnFields(result);
    this.live = result;
    this.open = this.open.filter(({ window_start: start }) => start !== result.window_start);
    this.open.push(result);
    this.open = this.open.slice(-8);
    this.#followMeans(result);
  }

  /** The mean of what came since the last live result, from counts and sums: what happens now, where
   *  the window's own mean says what has happened since it began. */
  #followMeans(result) {
    const before = this.#before;
    const time = this.now();
    if (before && time - before.time < TRACE_STEP) return;
    this.#before = { time, result };
    // A replay runs in a time of its own, to which no moment of ours belongs.
    const isNow = result.window_start <= time + 60 && result.window_end >= time - 60;
    if (!before || !isNow) return;
    const same = resultKey(before.result) === resultKey(result);
    for (const [name, { count, sum }] of Object.entries(result.aggregates)) {
      const old = (same && before.result.aggregates[name]) || { count: 0, sum: 0 };
      const mean = count > old.count ? (sum - old.sum) / (count - old.count) : NaN;
      if (!this.traces.has(name) && this.traces.size < TRACES) this.traces.set(name, new Series(['mean'], TRACE_KEPT));
      this.traces.get(name)?.push(time, { mean });
    }
  }

  takeResult(result) {
    this.learnFields(result);
    this.#meanwhile.push(result);
    if (this.#meanwhile.length > MEANWHILE) this.#meanwhile.shift();
    this.open = this.open.filter((open) => resultKey(open) !== resultKey(result) || open.window !== result.window);
    this.results.set(result.window, remember(this.results.get(result.window) || [], result, this.most()));
  }

  /** To be called before the past is asked for: from here on results are put by. */
  beginHistory() {
    this.#meanwhile = [];
  }

  /** Takes the past in, as the API lists it, and then what the stream has brought meanwhile. */
  takeHistory(windows, lists) {
    this.windows = windows;
    this.results = lists;
    for (const list of lists.values()) list.slice(-1).forEach((result) => this.learnFields(result));
    const meanwhile = this.#meanwhile.filter(({ window }) => lists.has(window));
    this.beginHistory();
    meanwhile.forEach((result) => this.takeResult(result));
  }

  /** How many results of a window are kept: fewer, if they have many fields. */
  most() {
    return Math.max(20, Math.min(RESULTS_KEPT, Math.floor(FIGURES_KEPT / Math.max(1, this.fields.size))));
  }

  takeAlerts(alerts) {
    this.alerts = mergeAlerts(this.alerts, alerts, ALERTS_KEPT);
  }

  firing() {
    return firing(this.alerts);
  }

  /** Learns the names of a result's fields. */
  learnFields(result) {
    for (const name of Object.keys(result.aggregates)) {
      if (this.fields.size < FIELDS_KEPT) this.fields.add(name);
    }
  }

  /** The results of a window, oldest first, then those of it that are still open. */
  withOpen(window) {
    const closed = this.results.get(window) || [];
    const open = this.open.filter((result) => result.window === window);
    return [...closed, ...open.sort((a, b) => a.window_start - b.window_start)];
  }

  /** Where a chart of event time ends: now, or where a replay has got to. */
  eventNow(results) {
    const end = results.at(-1)?.window_end;
    const now = this.now();
    if (!known(end)) return now;
    const size = end - results.at(-1).window_start;
    return Math.abs(end - now) < Math.max(60, size * 2) ? now : end;
  }
}
