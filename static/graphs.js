// The models of the three charts with axes, out of what the store knows; what they show in numbers.

import { paintBars, paintLines } from './plots.js';
import { Chart } from './charts.js';
import { byId, fillLegend, write } from './dom.js';
import { count, exact, groupName, known, measure, millis, NONE, range, time } from './format.js';
import { newestOfGroups, statistic } from './results.js';
import { RANGES } from './view.js';

const BARS = 30;
const EMPTY = new Float64Array(0);

export const FIELD_COLUMNS = ['start', 'end', 'count', 'avg', 'min', 'max', 'p95'];

/** Windows that overlap, one each `step` seconds, stand beside each other, each where the next one has not begun. */
const startOf = (result, step) => Math.max(result.window_start, step ? result.window_end - step : -Infinity);

/** Results of one field as arrays: starts and ends, and a column for each statistic. */
export function resultColumns(results, field, step) {
  const having = results.filter((result) => result.aggregates[field]);
  const column = (read) => Float64Array.from(having, read);
  const stats = (name) => column((result) => result.aggregates[field][name]);
  return {
    starts: column((result) => startOf(result, step)),
    ends: column((result) => result.window_end),
    avg: stats('avg'), min: stats('min'), max: stats('max'), p95: stats('p95'),
  };
}

/** The one series of their events. */
export function eventSeries(results, step) {
  const column = (read) => Float64Array.from(results, read);
  const [x, ends] = [column((result) => startOf(result, step)), column((result) => result.window_end)];
  return [{ name: 'events', colour: 'part-2', x, ends, y: column((result) => result.event_count), width: 2 }];
}

/** The series of a field's results: band, p95 and mean of each window. */
export function fieldSeries({ starts, ends, avg, min, max, p95 }) {
  return [
    { name: 'min to max', colour: 'part-1', x: starts, ends, low: min, y: max },
    { name: 'p95', colour: 'part-4', x: starts, ends, y: p95 },
    { name: 'avg', colour: 'part-1', x: starts, ends, y: avg, width: 2 },
  ];
}

/** The rows behind that: exact bounds and values. */
export const fieldRows = (results, field) => results
  .filter((result) => result.aggregates[field])
  .map((result) => {
    const { count: n, avg, min, max, p95 } = result.aggregates[field];
    return [result.window_start, result.window_end, n, avg, min, max, p95];
  });

export class FieldChart {
  #canvas = byId('field-chart');
  #chart = new Chart(this.#canvas, paintLines);
  #scale = {};
  #shown = '';

  draw(store, view) {
    const field = view.field;
    const window = store.first;
    const results = store.withOpen(window?.name);
    const to = store.eventNow(results);
    const from = to - RANGES[view.range];
    const columns = resultColumns(results, field, window?.slide_seconds);
    const key = `${field}/${view.range}`;
    if (this.#shown !== key) this.#scale = {};
    this.#shown = key;
    const trace = view.range === '1h' ? null : store.traces.get(field);
    const now = { name: 'avg now', colour: 'part-3', x: trace?.column('time') || EMPTY, y: trace?.column('mean') || EMPTY, gap: 3, width: 1 };
    this.#chart.show({
      from, to, series: [...fieldSeries(columns), now], scale: this.#scale, reach: 1,
      format: exact, heading: (t) => time(t),
    });
    this.#legend(results.findLast((result) => result.aggregates[field])?.aggregates[field], trace);
    const last = results.at(-1)?.aggregates[field];
    this.#canvas.setAttribute('aria-label', field === '' ? 'No field yet'
      : `${field} over time: now avg ${measure(last?.avg)}, min ${measure(last?.min)}, max ${measure(last?.max)}, p95 ${measure(last?.p95)}`);
  }

  #legend(stats, trace) {
    fillLegend(byId('field-legend'), [
      { name: 'avg', colour: 'part-1', text: measure(stats?.avg) },
      { name: 'now', colour: 'part-3', text: measure(trace?.newest('mean')) },
      { name: 'p95', colour: 'part-4', text: measure(stats?.p95) },
      { name: 'min – max', colour: 'band', text: stats ? `${measure(stats.min)} – ${measure(stats.max)}` : NONE },
    ]);
  }

  numbers(store, view) {
    const all = store.withOpen(store.first?.name);
    const from = store.eventNow(all) - RANGES[view.range];
    const results = all.filter((result) => result.window_end > from);
    return { name: `field-${view.field}`, columns: FIELD_COLUMNS, rows: fieldRows(results, view.field) };
  }
}

/** Closed windows as bars: of a window without groups the newest over time, of one with groups its
 *  groups, greatest first, each with its newest result. */
export class BarsChart {
  #canvas = byId('bars-chart');
  #chart = new Chart(this.#canvas, paintBars);
  #scale = {};
  #shown = '';

  #results(store, view, grouped) {
    const window = store.windows.find(({ name }) => name === view.window);
    if (!window || window.group_by.length === 0) return (store.results.get(view.window) || []).slice(-BARS);
    const value = (result) => statistic(result, view.field, view.stat) ?? -Infinity;
    return newestOfGroups(grouped).sort((a, b) => value(b) - value(a)).slice(0, BARS);
  }

  draw(store, view, grouped) {
    const isGrouped = store.windows.find(({ name }) => name === view.window)?.group_by.length > 0;
    const key = `${view.window}/${view.stat}/${view.field}`;
    if (this.#shown !== key) this.#scale = {};
    this.#shown = key;
    const bars = this.#results(store, view, grouped).map((result) => ({
      label: isGrouped ? groupName(result.group).slice(0, 14) : time(result.window_end),
      value: statistic(result, view.field, view.stat) ?? NaN,
      title: [groupName(result.group), range(result.window_start, result.window_end)].filter(Boolean).join(', '),
      rows: barRows(result, view.field),
    }));
    this.#chart.show({ bars, slots: BARS, colour: 'part-2', scale: this.#scale, align: isGrouped ? 'left' : 'right' });
    const newest = bars.at(isGrouped ? 0 : -1);
    const what = view.stat === 'events' ? 'events' : `${view.stat} of ${view.field}`;
    this.#canvas.setAttribute('aria-label', newest
      ? `${bars.length} closed windows of ${view.window}, ${what}: ${newest.title}: ${exact(newest.value)}`
      : `No window of ${view.window} has closed yet`);
    write(byId('bars-empty'), newest ? '' : this.#why(store, view));
  }

  #why(store, view) {
    const window = store.windows.find(({ name }) => name === view.window);
    if (!window) return '';
    if (window.gap_seconds) return `A session closes ${window.gap_seconds} s after its last event.`;
    return `The first window closes after ${window.size_seconds} s.`;
  }

  numbers(store, view, grouped) {
    const rows = this.#results(store, view, grouped).map((result) => [
      result.window_start, result.window_end, groupName(result.group), result.event_count,
      ...['count', 'sum', 'avg', 'min', 'max', 'std', 'p50', 'p95', 'p99'].map((name) => result.aggregates[view.field]?.[name] ?? null),
    ]);
    const columns = ['start', 'end', 'group', 'events', 'count', 'sum', 'avg', 'min', 'max', 'std', 'p50', 'p95', 'p99'];
    return { name: `window-${view.window}`, columns, rows };
  }
}

function barRows(result, field) {
  const stats = result.aggregates[field];
  const figures = ['avg', 'min', 'max', 'p95'].map((name) => [`${field} ${name}`, exact(stats?.[name])]);
  const notes = [result.revision > 0 && ['revision', String(result.revision)], result.partial && ['partial', 'yes']];
  return [['events', count(result.event_count)], ...(stats ? figures : []), ...notes.filter(Boolean)];
}

const DELAYS = [['p50', 'p50', 'part-3'], ['p99', 'p99', 'part-4'], ['p999', 'p99.9', 'part-5']];

export class DelaysChart {
  #canvas = byId('delays-chart');
  #chart = new Chart(this.#canvas, paintLines);
  #scale = {};

  draw(store, view) {
    const { series } = store;
    const to = series.length > 0 ? series.last : store.now();
    const x = series.column('time');
    this.#chart.show({
      from: to - RANGES[view.range], to, log: true, scale: this.#scale, reach: 1,
      series: DELAYS.map(([column, name, colour]) => ({ name, colour, x, y: series.column(column), gap: 3 })),
      format: millis, heading: (t) => time(t),
    });
    fillLegend(byId('delays-legend'), DELAYS.map(([column, name, colour]) => ({ name, colour, text: millis(series.newest(column)) })));
    const words = DELAYS.map(([column, name]) => `${name} ${millis(series.newest(column))}`);
    this.#canvas.setAttribute('aria-label', `Latency percentiles over time: now ${words.join(', ')}`);
  }

  numbers(store, view) {
    const { series } = store;
    const columns = ['time', 'mean', 'p50', 'p99', 'p999'];
    const values = columns.map((name) => series.column(name));
    const from = series.last - RANGES[view.range];
    const rows = Array.from(values[0], (_, i) => values.map((column) => (known(column[i]) ? column[i] : null)));
    return { name: 'latency-ms', columns, rows: rows.filter(([t]) => t >= from) };
  }
}
