// The table of a grouped window: each group with its newest result, sorted and filtered.

import { byId, fill, fillRows, fillSelect, make, write } from './dom.js';
import { count, measure, time } from './format.js';
import { newestOfGroups } from './results.js';

const ROWS_SHOWN = 100;
export const GROUP_RESULTS = 1000; // asked for at a time
const STATISTICS = ['count', 'avg', 'min', 'max', 'p95'];

/** The columns of a table of groups: name, and what is sorted by. */
export function groupColumns(window, field) {
  const member = (name) => [name, (result) => result.group[name] ?? ''];
  const statistic = (name) => [name, (result) => result.aggregates[field]?.[name] ?? NaN];
  const columns = [...window.group_by.map(member), ['events', (result) => result.event_count]];
  if (field) columns.push(...STATISTICS.map(statistic));
  return [...columns, ['end', (result) => result.window_end]];
}

/** Those of `results` that have `filter` in a group's value, sorted: `sort` is a column's name, after
 *  a minus for the greatest first. What is no number comes last. */
export function arrange(results, columns, filter, sort) {
  const wanted = filter.toLowerCase();
  const found = results.filter(({ group }) => Object.values(group).some((value) => (value ?? '').toLowerCase().includes(wanted)));
  const down = sort.startsWith('-');
  const [, read] = columns.find(([name]) => name === sort.replace(/^-/, '')) || columns.find(([name]) => name === 'events');
  const keyed = found.map((result) => ({ result, value: read(result) }));
  keyed.sort((a, b) => compare(a.value, b.value, down || sort === ''));
  return keyed.map(({ result }) => result);
}

function compare(a, b, down) {
  if (typeof a === 'string') return (down ? -1 : 1) * (a < b ? -1 : a > b ? 1 : 0);
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  return down ? b - a : a - b;
}

/** A group as the API takes it: member=value, or the member alone where it is absent. */
export const groupPairs = (group) => Object.entries(group).map(([key, value]) => (value === null ? key : `${key}=${value}`));

export class Groups {
  #view;
  #shown = [];
  results = []; // of the chosen window, oldest first
  window = null;

  /** `choose(change)` changes the view; `open(pairs)` shows a group's history. */
  constructor(view, choose, open) {
    this.#view = view;
    byId('groups-window').addEventListener('change', ({ target }) => choose({ groups: target.value }));
    byId('groups-filter').addEventListener('input', ({ target }) => choose({ filter: target.value }));
    byId('groups-head').addEventListener('click', ({ target }) => {
      const column = target.closest('button')?.dataset.key;
      if (!column) return;
      // Names up at first, numbers down; then the other way.
      const first = this.window.group_by.includes(column) ? column : `-${column}`;
      const other = first === column ? `-${column}` : column;
      choose({ sort: (view.sort || '-events') === first ? other : first });
    });
    byId('groups').addEventListener('click', ({ target }) => {
      const at = target.closest('button')?.dataset.key;
      if (at !== undefined) open(groupPairs(this.#shown[Number(at)].group));
    });
  }

  draw(store) {
    const grouped = store.windows.filter(({ group_by: by }) => by.length > 0);
    byId('groups-panel').hidden = grouped.length === 0;
    this.window = grouped.find(({ name }) => name === this.#view.groups) || null;
    if (!this.window) return;
    fillSelect(byId('groups-window'), grouped.map(({ name }) => name), this.window.name);
    const filter = byId('groups-filter');
    if (filter !== document.activeElement && filter.value !== this.#view.filter) filter.value = this.#view.filter;
    const columns = groupColumns(this.window, this.#view.field);
    this.#drawHead(columns);
    const newest = newestOfGroups(this.results);
    const found = arrange(newest, columns, this.#view.filter, this.#view.sort);
    this.#shown = found.slice(0, ROWS_SHOWN);
    byId('groups').dataset.empty = newest.length > 0 ? 'No group like that.' : this.#whyEmpty();
    fillRows(byId('groups'), this.#shown.map((result, at) => this.#row(result, at, columns)));
    write(byId('groups-count'), newest.length > 0 ? this.#howMany(found.length, newest.length) : '');
  }

  #howMany(found, all) {
    const shown = found > ROWS_SHOWN ? `, the first ${ROWS_SHOWN} shown` : '';
    // A closing of so many groups may have had more of them than the page asks for.
    const known = all * 2 > GROUP_RESULTS ? ` in the newest ${count(GROUP_RESULTS)} results` : '';
    return `${count(found)} of ${count(all)} groups${known}${shown}`;
  }

  #whyEmpty() {
    const { gap_seconds: gap } = this.window;
    return gap ? `No session has closed yet: one does ${gap} s after its last event.` : 'No window has closed yet.';
  }

  #row(result, at, columns) {
    return columns.map(([name, read], i) => {
      if (i === 0) return { text: read(result) || '(none)', key: String(at) };
      if (i < this.window.group_by.length) return read(result) || '(none)';
      if (name === 'end') return time(result.window_end);
      return name === 'events' || name === 'count' ? count(read(result)) : measure(read(result));
    });
  }

  #drawHead(columns) {
    const create = () => make('th', { scope: 'col' }, make('button', { type: 'button', className: 'sort' }));
    const sort = this.#view.sort || '-events';
    fill(byId('groups-head'), columns, create, (cell, [name]) => {
      write(cell.firstElementChild, name);
      cell.firstElementChild.dataset.key = name;
      const order = sort === name ? 'ascending' : sort === `-${name}` ? 'descending' : 'none';
      if (cell.ariaSort !== order) cell.ariaSort = order;
    });
  }

  numbers() {
    if (!this.window) return { name: 'groups', columns: [], rows: [] };
    const columns = groupColumns(this.window, this.#view.field);
    const found = arrange(newestOfGroups(this.results), columns, this.#view.filter, this.#view.sort);
    const rows = found.map((result) => columns.map(([, read]) => read(result)));
    return { name: `groups-${this.window.name}`, columns: columns.map(([name]) => name), rows, isList: true };
  }
}
