// Panels that list: event mix, sources, threads, fields, alerts.

import { Chart, paintDoughnut } from './charts.js';
import { colours, partColour } from './colours.js';
import { byId, fill, fillRows, make, put, write } from './dom.js';
import { count, groupWords, known, measure, percent, plural, range, short, time } from './format.js';

const TYPES_SHOWN = 6;
const FIELDS_SHOWN = 60;
const ALERTS_SHOWN = 50;
const BUSY = 0.7; // from here on a thread is near its end

const byCount = ([a, n], [b, m]) => m - n || (a < b ? -1 : 1);

/** Event types with their counts, greatest first; from the seventh on as one. */
function mixParts(types) {
  const all = Object.entries(types).sort(byCount);
  const parts = all.slice(0, TYPES_SHOWN);
  const rest = all.slice(TYPES_SHOWN);
  if (rest.length > 0) parts.push([plural(rest.length, 'other type'), rest.reduce((sum, [, n]) => sum + n, 0)]);
  return parts;
}

export class Mix {
  #chart = new Chart(byId('mix-chart'), paintDoughnut);

  draw({ stats }) {
    if (!stats) return;
    const parts = mixParts(stats.event_types);
    const total = parts.reduce((sum, [, n]) => sum + n, 0);
    fillRows(byId('mix'), parts.map(([type, n], i) => [{ text: type, colour: partColour(i) }, count(n), percent(n / total)]));
    const { of } = colours();
    this.#chart.show({
      parts: parts.map(([name, value], i) => ({
        name, value, colour: of(partColour(i)), rows: [['events', count(value)], ['share', percent(value / total)]],
      })),
      centre: short(total),
      caption: 'events',
    });
  }

  numbers({ stats }) {
    return { name: 'event-types', columns: ['type', 'events'], rows: Object.entries(stats?.event_types || {}).sort(byCount), isList: true };
  }
}

export const sources = {
  draw({ stats }) {
    if (!stats) return;
    const most = stats.top_sources[0]?.count || 1;
    const create = () => make('li', {}, make('button', { type: 'button', className: 'name' }), make('span'));
    fill(byId('sources'), stats.top_sources, create, (item, { source, count: n }) => {
      const [name, number] = item.children;
      write(name, source);
      name.dataset.key = source;
      if (name.title !== source) name.title = source; // a long one is cut
      write(number, count(n));
      item.style.setProperty('--share', n / most);
    });
  },

  numbers: ({ stats }) => ({
    name: 'top-sources', columns: ['source', 'events'], rows: (stats?.top_sources || []).map(({ source, count: n }) => [source, n]), isList: true,
  }),
};

const fullness = ({ ring }) => (ring && ring.capacity > 0 ? ring.len / ring.capacity : 0);

/** Where the pipeline is at its end, if anywhere: what is nearest to it. */
export function bottleneck(threads) {
  const worst = threads.reduce((a, b) => (Math.max(b.busy, fullness(b)) > Math.max(a.busy, fullness(a)) ? b : a));
  const words = [`${worst.name} ${percent(worst.busy)} busy`];
  if (fullness(worst) > 0.1) words.push(`ring ${percent(fullness(worst))} full`);
  const near = Math.max(worst.busy, fullness(worst)) > BUSY;
  return `${near ? 'Bottleneck' : 'Busiest'}: ${words.join(', ')}`;
}

export const pipeline = {
  draw({ stats }) {
    if (!stats) return;
    const { threads } = stats;
    put('bottleneck', threads.length > 0 ? bottleneck(threads) : '');
    fillRows(byId('threads'), threads.map((thread) => {
      const { name, core, pinned, busy, ring } = thread;
      const full = fullness(thread);
      return [
        name,
        core === null ? 'any' : `${core}${pinned ? '' : ' (not pinned)'}`,
        { text: percent(busy), meter: busy, label: `${name}: busy` },
        { text: ring && ring.capacity > 0 ? percent(full) : 'none', meter: full, label: `${name}: ring fill` },
      ];
    }));
  },

  numbers: ({ stats }) => ({
    name: 'threads',
    columns: ['thread', 'core', 'pinned', 'busy', 'ring_len', 'ring_capacity', 'ring_high_water_mark'],
    rows: (stats?.threads || []).map(({ name, core, pinned, busy, ring }) => [name, core, pinned, busy, ring?.len, ring?.capacity, ring?.high_water_mark]),
    isList: true,
  }),
};

const FIELD_STATISTICS = ['avg', 'min', 'max', 'p95'];

export const fields = {
  draw({ live, results, first }, view) {
    const newest = live || results.get(first?.name)?.at(-1);
    const words = newest && [newest.window, range(newest.window_start, newest.window_end), live ? 'filling now' : 'closed', `${count(newest.event_count)} events`];
    put('live-when', newest ? words.join(', ') : 'nothing is filling');
    const names = Object.keys(newest?.aggregates || {}).sort().slice(0, FIELDS_SHOWN);
    fillRows(byId('fields'), names.map((name) => {
      const stats = newest.aggregates[name];
      return [{ text: name, key: name }, count(stats.count), ...FIELD_STATISTICS.map((statistic) => measure(stats[statistic]))];
    }));
    for (const row of byId('fields').rows) {
      const chosen = row.querySelector('button')?.dataset.key === view.field;
      row.classList.toggle('chosen', chosen);
      if (chosen) row.querySelector('button').setAttribute('aria-current', 'true');
      else row.querySelector('button')?.removeAttribute('aria-current');
    }
  },

  numbers({ live, results, first }) {
    const newest = live || results.get(first?.name)?.at(-1);
    const columns = ['field', 'count', 'sum', 'avg', 'min', 'max', 'std', 'p50', 'p95', 'p99'];
    const rows = Object.entries(newest?.aggregates || {}).map(([name, stats]) => [name, ...columns.slice(1).map((column) => stats[column])]);
    return { name: 'fields', columns, rows, isList: true };
  },
};

const seconds = (iso) => Date.parse(iso) / 1000;

export const alerts = {
  /** Newest first; the level is also a word, and one that is over is told, not shouted. */
  draw(store) {
    const now = store.firing.size;
    put('firing', now > 0 ? `${count(now)} firing` : store.alerts.length > 0 ? 'none firing' : '');
    const create = () => make('li', {}, make('span', { className: 'level' }), make('span', { className: 'message' }), make('time'));
    fill(byId('alerts'), store.alerts.slice(-ALERTS_SHOWN).reverse(), create, (item, alert) => {
      const [level, message, when] = item.children;
      level.dataset.level = alert.state === 'resolved' ? 'resolved' : alert.level;
      write(level, alert.state === 'resolved' ? 'resolved' : alert.level);
      write(message, [alert.message, groupWords(alert.group)].filter(Boolean).join(' · '));
      write(when, time(seconds(alert.time)));
      when.dateTime = alert.time;
      item.title = `${alert.name}: ${alert.statistic} of ${alert.field} in ${alert.window} was ${known(alert.value) ? alert.value : 'unknown'}`;
    });
  },

  numbers: ({ alerts: list }) => ({
    name: 'alerts',
    columns: ['time', 'state', 'level', 'name', 'message', 'window', 'group', 'field', 'statistic', 'value', 'threshold'],
    rows: list.map((a) => [a.time, a.state, a.level, a.name, a.message, a.window, groupWords(a.group), a.field, a.statistic, a.value, a.threshold]),
  }),
};
