// What the page knows: the newest state and a bounded past of it. It takes events in and is read by
// whatever draws; it touches no element.

import { known } from './format.js';
import { alertKey, mergeAlerts, put, remember, resultKey, see } from './results.js';
import { Series } from './series.js';

const STATS_KEPT = 3600; // seconds
const TRACE_KEPT = 2500; // ten minutes of quarters of a second
const TRACE_STEP = 0.24; // seconds; live results that come faster are put together
const RESULTS_KEPT = 400; // of each window, as long as they have few fields
const FIGURES_KEPT = 40_000; // fields of all kept results of a window
export const ALERTS_KEPT = 200;
export const FIRING_KEPT = 10_000; // as many as the API lists
const FIELDS_KEPT = 200;
const MEANWHILE = 100;
const TRACES = 24; // fields whose means are followed
const SOURCES = 64; // whose counts are followed
const SOURCE_KEPT = 600; // seconds
const CLOCK_BACK = 5; // seconds; a clock that is set back by more begins the past anew

const LATENCIES = ['mean', 'p50', 'p99', 'p999'];
const COUNTED = ['received', 'dropped', 'rejected', 'late'];

export class Store {
  stats = null;
  latencies = {}; // ms, as far as there is something to measure
  windows = []; // as /api/windows lists them
  results = new Map(); // window name -> its newest results, oldest first; of windows without groups
  open = []; // the last live results of windows that have not closed yet, the newest last
  alerts = []; // the newest changes, oldest first
  firing = new Map(); // alertKey -> what fires now
  fields = new Map(); // name -> true
  series = new Series(['rate', 'utilization', ...LATENCIES], STATS_KEPT);
  traces = new Map(); // field -> Series of the means between one live result and the next
  sources = new Map(); // source -> Series of its count
  #before = null; // the live result from which the traces go on
  #clockAhead = 0; // seconds that the daemon's clock is ahead of this one
  #meanwhile = []; // the newest results that the stream has brought, for what is loaded beside it
  #changed = new Map(); // alertKey -> its newest change, likewise
  #counts = []; // counters of events in the last seconds
  lately = {}; // by how many they have risen meanwhile
  #wanted;

  /** `wanted()` names the fields that are always followed, whatever strangers send. */
  constructor(wanted = () => ['value']) {
    this.#wanted = wanted;
  }

  /** The daemon's time, seconds. */
  now() {
    return Date.now() / 1000 + this.#clockAhead;
  }

  /** The window whose fields are shown: the stream brings neither live nor closed results of one with groups, as
   *  long as there is one without. */
  get first() {
    return this.windows.find(({ group_by: by }) => by.length === 0) ?? this.windows[0];
  }

  /** The newest live result, while its window has not closed. */
  get live() {
    return this.open.at(-1);
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
    const { max, p50, p99, p999 } = processor.latency_ms;
    // Percentiles are of ten seconds; the mean is of one, in which there may have been nothing to measure.
    const mean = processor.processing_time_ms || undefined;
    this.latencies = max === 0 ? {} : { mean: mean ?? this.latencies.mean, p50, p99, p999 };
    if (time > this.series.last) {
      this.series.push(time, { rate: processor.events_per_second, utilization: buffer.utilization, ...this.latencies, mean });
    }
    this.#followSources(time, stats.top_sources);
    this.#followCounts(stats.uptime_seconds, stats.events);
  }

  #clockWentBack() {
    this.series.clear();
    this.sources.clear();
    this.traces.clear();
    this.#before = null;
  }

  /** What fires and what has closed is loaded with each connection, and may be the new daemon's already. */
  #daemonIsNew() {
    this.sources.clear();
    this.open = [];
    this.#counts = [];
    this.#before = null;
  }

  #followSources(time, sources) {
    see(this.sources, sources.map(({ source }) => source), SOURCES, [], () => new Series(['count'], SOURCE_KEPT));
    for (const { source, count } of sources) {
      const series = this.sources.get(source);
      if (time > series.last) series.push(time, { count });
    }
  }

  /** Over ten seconds, so that what comes or is lost now and then is seen, and what was lost once passes; of the
   *  daemon's uptime, for its clock may be set. */
  #followCounts(uptime, events) {
    this.#counts = [...this.#counts.filter((old) => old.uptime > uptime - 10.5), { uptime, ...events }];
    for (const name of COUNTED) this.lately[name] = events[name] - this.#counts[0][name];
  }

  takeLive(result) {
    this.#learnFields([result]);
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
    const names = Object.keys(result.aggregates);
    see(this.traces, names, TRACES, this.#wanted(), () => new Series(['mean'], TRACE_KEPT));
    for (const name of names.filter((each) => this.traces.has(each))) {
      const { count, sum } = result.aggregates[name];
      const old = (same && before.result.aggregates[name]) || { count: 0, sum: 0 };
      const mean = count > old.count ? (sum - old.sum) / (count - old.count) : NaN;
      this.traces.get(name).push(time, { mean });
    }
  }

  takeResult(result) {
    this.noteClosed([result]);
    this.#meanwhile.push(result);
    if (this.#meanwhile.length > MEANWHILE) this.#meanwhile.shift();
    this.results.set(result.window, remember(this.results.get(result.window) || [], result, this.most()));
  }

  /** Sees closed results of a window, oldest first. They come in the order of their ends: what ends no later has closed
   *  as well, though its own result was missed. */
  noteClosed(results) {
    this.#learnFields(results);
    const newest = results.at(-1);
    this.open = this.open.filter(({ window, window_end: end }) => window !== newest?.window || end > newest.window_end);
  }

  /** To be called before the past is asked for: from here on results and alerts are put by. */
  beginHistory() {
    this.#meanwhile = [];
    this.#changed.clear();
  }

  /** Takes the past in, as the API lists it, and then what the stream has brought meanwhile. */
  takeHistory(windows, lists, alerts, firing) {
    this.windows = windows;
    this.results = lists;
    for (const list of lists.values()) this.noteClosed(list.slice(-1));
    this.alerts = mergeAlerts(this.alerts, alerts, ALERTS_KEPT);
    this.firing = new Map(firing.map((alert) => [alertKey(alert), alert]));
    this.#changed.forEach((alert) => this.#followAlert(alert));
    const meanwhile = this.#meanwhile.filter(({ window }) => lists.has(window));
    this.beginHistory();
    meanwhile.forEach((result) => this.takeResult(result));
  }

  /** How many results of a window are kept: fewer, if they have many fields. */
  most() {
    return Math.max(20, Math.min(RESULTS_KEPT, Math.floor(FIGURES_KEPT / Math.max(1, this.fields.size))));
  }

  takeAlert(alert) {
    this.alerts = mergeAlerts(this.alerts, [alert], ALERTS_KEPT);
    put(this.#changed, alertKey(alert), alert, FIRING_KEPT);
    this.#followAlert(alert);
  }

  #followAlert(alert) {
    if (alert.state === 'firing') put(this.firing, alertKey(alert), alert, FIRING_KEPT);
    else this.firing.delete(alertKey(alert));
  }

  #learnFields(results) {
    const names = new Set(results.flatMap(({ aggregates }) => Object.keys(aggregates)));
    see(this.fields, [...names], FIELDS_KEPT, this.#wanted(), () => true);
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
