// What is known of one source or one group over time, over the page.

import { Chart } from './charts.js';
import { byId, fillLegend, fillSelect, make, write } from './dom.js';
import { count, exact, measure, NONE, time } from './format.js';
import { eventSeries, FIELD_COLUMNS, fieldRows, fieldSeries, resultColumns } from './graphs.js';
import { Numbers } from './numbers.js';
import { paintLines } from './plots.js';

const EVENTS = '(events)'; // beside names of fields, in the list of what to show
const GAP_S = 30; // a source that is not among the busiest is not told every second

/** Events per second from counts, which may have been told at any distance. */
export function rates(times, counts) {
  const x = times.subarray(1);
  const y = Float64Array.from(x, (_, i) => {
    const events = counts[i + 1] - counts[i];
    return events >= 0 ? events / (times[i + 1] - times[i]) : NaN;
  });
  return { x, y };
}

export class History {
  #dialog = byId('history');
  #chart = new Chart(byId('history-chart'), paintLines);
  #numbers;
  #scale = {};
  #rows = { name: 'history', columns: [], rows: [] };
  #shown = '';
  #choice = ''; // what somebody chose to see of a group: a field or EVENTS
  results = []; // of the group that is open

  /** `choose(change)` changes the view. */
  constructor(choose) {
    this.#numbers = new Numbers(this.#dialog, 'History', () => this.#rows);
    byId('history-show').addEventListener('change', ({ target }) => {
      this.#choice = target.value;
      this.#scale = {};
      choose({});
    });
    byId('history-close').addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('close', () => choose({ source: '', group: [] }));
    this.#dialog.addEventListener('click', ({ target }) => target === this.#dialog && this.#dialog.close());
    byId('history-more').addEventListener('click', ({ target }) => {
      const { window, key } = target.dataset;
      if (window) choose({ source: '', groups: window, group: [key] });
    });
  }

  draw(store, view) {
    const wanted = view.source !== '' || view.group.length > 0;
    if (wanted !== this.#dialog.open) {
      if (wanted) this.#dialog.showModal();
      else this.#dialog.close();
    }
    if (!wanted) return;
    const key = JSON.stringify([view.source, view.group, view.groups, view.field]);
    if (this.#shown !== key) {
      this.#scale = {};
      this.#choice = '';
      this.#numbers.changed();
    }
    this.#shown = key;
    byId('history-show').parentElement.hidden = view.group.length === 0;
    if (view.group.length > 0) this.#drawGroup(store, view);
    else this.#drawSource(store, view);
    this.#numbers.changed();
  }

  #drawSource(store, { source }) {
    const series = store.sources.get(source);
    const { x, y } = series ? rates(series.column('time'), series.column('count')) : { x: [], y: [] };
    write(byId('history-title'), source);
    write(byId('history-note'), series ? `${count(series.newest('count'))} events` : 'Not among the busiest sources.');
    fillLegend(byId('history-legend'), [{ name: 'events/s', colour: 'part-1', text: measure(y.at(-1)) }]);
    const to = store.now();
    const from = Math.min(to - 30, Math.max(to - 600, x[0] ?? to));
    this.#show(from, to, [{ name: 'events/s', colour: 'part-1', x, y, gap: GAP_S }], true);
    this.#rows = { name: `source-${source}`, columns: ['time', 'events_per_second'], rows: Array.from(x, (t, i) => [t, y[i]]) };
    this.#offer(store.windows.filter(({ group_by: by }) => by.length === 1 && by[0] === 'source'), `source=${source}`);
  }

  /** Windows by source know more of it. */
  #offer(windows, key) {
    const more = byId('history-more');
    const names = windows.map(({ name }) => name);
    if (more.dataset.shown === `${names}/${key}`) return;
    more.dataset.shown = `${names}/${key}`;
    const button = (name) => make('button', { type: 'button', textContent: `Its results in ${name}`, data: { window: name, key } });
    more.replaceChildren(...names.map(button));
  }

  #drawGroup({ windows }, { field: wanted, group, groups }) {
    const step = windows.find(({ name }) => name === groups)?.slide_seconds;
    const results = this.results;
    const names = [...new Set(results.flatMap((result) => Object.keys(result.aggregates)))].sort();
    const chosen = [this.#choice, wanted, EVENTS].find((name) => name === EVENTS || names.includes(name));
    fillSelect(byId('history-show'), [EVENTS, ...names], chosen);
    write(byId('history-title'), group.map((pair) => pair.replace('=', ' ')).join(', '));
    write(byId('history-note'), `${count(results.length)} results of ${groups}`);
    const from = results[0]?.window_start ?? 0;
    const to = results.at(-1)?.window_end ?? 1;
    if (chosen === EVENTS) this.#drawEvents(results, step, from, to);
    else this.#drawField(results, chosen, step, from, to);
    this.#offer([], '');
  }

  #drawEvents(results, step, from, to) {
    fillLegend(byId('history-legend'), [{ name: 'events', colour: 'part-2', text: count(results.at(-1)?.event_count) }]);
    this.#show(from, to, eventSeries(results, step), true);
    const rows = results.map((result) => [result.window_start, result.window_end, result.event_count]);
    this.#rows = { name: 'group', columns: ['start', 'end', 'events'], rows };
  }

  #drawField(results, field, step, from, to) {
    const stats = results.findLast((result) => result.aggregates[field])?.aggregates[field];
    fillLegend(byId('history-legend'), [
      { name: 'avg', colour: 'part-1', text: measure(stats?.avg) },
      { name: 'p95', colour: 'part-4', text: measure(stats?.p95) },
      { name: 'min – max', colour: 'band', text: stats ? `${measure(stats.min)} – ${measure(stats.max)}` : NONE },
    ]);
    this.#show(from, to, fieldSeries(resultColumns(results, field, step)), false);
    this.#rows = { name: `group-${field}`, columns: FIELD_COLUMNS, rows: fieldRows(results, field) };
  }

  #show(from, to, series, zero) {
    this.#chart.show({ from, to, series, zero, scale: this.#scale, reach: GAP_S, format: exact, heading: (t) => time(t) });
  }
}
