// The live page. One event stream feeds the store; what has changed is drawn once a frame, however
// fast events come. The address says what is shown, so that a view can be shared.

import { Cards, drawHealth } from './cards.js';
import { forgetColours } from './colours.js';
import { byId, fill, fillSelect, write } from './dom.js';
import { soon } from './frame.js';
import { BarsChart, DelaysChart, FieldChart } from './graphs.js';
import { GROUP_RESULTS, Groups } from './groups.js';
import { History } from './history.js';
import { Numbers, records, save } from './numbers.js';
import { alerts, fields, Mix, pipeline, sources } from './panels.js';
import { ALERTS_KEPT, FIRING_KEPT, Store } from './store.js';
import { Newest, Stream } from './stream.js';
import { format, parse, STATISTICS } from './view.js';

const GROUPS_MS = 5000; // how often the results of a grouped window are asked for
const GROUP_HISTORY = 200;
const PATIENCE_MS = 10_000; // with an answer

const view = parse(location.hash); // what is shown
let asked = { ...view }; // what somebody asked for, which may not have come in yet
const store = new Store(() => ['value', asked.field, view.field]);
let staleSince = null;

const cards = new Cards(store);
const charts = { field: new FieldChart(), bars: new BarsChart(), delays: new DelaysChart(), mix: new Mix() };
const groups = new Groups(view, choose, (group) => choose({ group }));
const history = new History(choose);

/** What is drawn, by name. Each draws all of itself from the store and the view. */
const parts = {
  health: () => drawHealth(store, staleSince),
  cards: () => cards.draw(store),
  delays: () => charts.delays.draw(store, view),
  mix: () => charts.mix.draw(store),
  sources: () => sources.draw(store),
  pipeline: () => pipeline.draw(store),
  field: () => charts.field.draw(store, view),
  fields: () => fields.draw(store, view),
  bars: () => charts.bars.draw(store, view, barResults()),
  groups: () => groups.draw(store),
  alerts: () => alerts.draw(store),
  history: () => history.draw(store, view),
  controls: drawControls,
};

const numbers = {
  field: ['field-panel', 'Field', () => charts.field.numbers(store, view)],
  bars: ['bars-panel', 'Closed windows', () => charts.bars.numbers(store, view, barResults())],
  delays: ['delays-panel', 'Latency', () => charts.delays.numbers(store, view)],
  mix: ['mix-panel', 'Event mix', () => charts.mix.numbers(store)],
  sources: ['sources-panel', 'Top sources', () => sources.numbers(store)],
  pipeline: ['pipeline-panel', 'Pipeline', () => pipeline.numbers(store)],
  fields: ['fields-panel', 'Fields', () => fields.numbers(store)],
  groups: ['groups-panel', 'Groups', () => groups.numbers()],
  alerts: ['alerts-panel', 'Alerts', () => alerts.numbers(store)],
};
for (const [name, [panel, label, read]] of Object.entries(numbers)) numbers[name] = new Numbers(byId(panel), label, read);

/** Results of the window that the bars show, if it is a grouped one. */
function barResults() {
  return grouped.get(view.window) || [];
}

function changed(...names) {
  for (const name of names) {
    soon(parts[name]);
    numbers[name]?.changed?.();
  }
}

const everything = () => changed(...Object.keys(parts));

// ---- The view ----------------------------------------------------------------------------

/** Changes the view, and the address with it. */
function choose(change) {
  Object.assign(asked, change);
  Object.assign(view, change);
  window.history.replaceState(null, '', `${location.pathname}${location.search}${format(view)}`);
  if ('group' in change) history.results = []; // until its own come
  if (['groups', 'window', 'group'].some((name) => name in change)) refreshGroups();
  everything();
}

function applyTheme() {
  const root = document.documentElement;
  if (view.theme === 'auto') delete root.dataset.theme;
  else root.dataset.theme = view.theme;
  forgetColours();
  everything();
}

function drawControls() {
  const controls = byId('controls');
  controls.elements.range.value = view.range;
  controls.elements.theme.value = view.theme;
  fillSelect(byId('field'), [...store.fields.keys()].sort(), view.field);
  fillSelect(byId('window'), store.windows.map(({ name }) => name), view.window);
  byId('stat').value = view.stat;
}

/** Shows what was asked for if it is there, and otherwise what is: the field `value` or the first one,
 *  the first window, the first window with groups. */
function settle() {
  const names = ['value', ...[...store.fields.keys()].sort()].filter((name) => store.fields.has(name));
  const windows = store.windows.map(({ name }) => name);
  const withGroups = store.windows.filter(({ group_by: by }) => by.length > 0).map(({ name }) => name);
  for (const [what, there] of [['field', names], ['window', windows], ['groups', withGroups]]) {
    view[what] = there.includes(asked[what]) ? asked[what] : there[0] ?? asked[what];
  }
}

function wireControls() {
  const controls = byId('controls');
  byId('stat').append(...STATISTICS.map((name) => new Option(name, name)));
  controls.addEventListener('submit', (event) => event.preventDefault());
  controls.addEventListener('change', ({ target }) => {
    choose({ [target.name]: target.value });
    if (target.name === 'theme') applyTheme();
  });
  for (const name of ['field', 'window', 'stat']) byId(name).addEventListener('change', ({ target }) => choose({ [name]: target.value }));
  const press = (id, take) => byId(id).addEventListener('click', ({ target }) => {
    const { key } = target.closest('button.name')?.dataset || {};
    if (key !== undefined) take(key);
  });
  press('fields', (field) => {
    choose({ field });
    byId('field-panel').scrollIntoView({ block: 'nearest' });
  });
  press('sources', (source) => choose({ source }));
  byId('share').addEventListener('click', share);
  byId('download').addEventListener('click', () => {
    const shown = Object.values(numbers).map((one) => one.read()).map((one) => [one.name, records(one)]);
    save('flumen.json', 'application/json', JSON.stringify({ stats: store.stats, ...Object.fromEntries(shown) }, null, 1));
  });
  addEventListener('hashchange', () => {
    asked = parse(location.hash);
    Object.assign(view, asked);
    settle();
    applyTheme();
    refreshGroups();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', applyTheme);
  addEventListener('resize', forgetColours);
  document.addEventListener('visibilitychange', everything);
}

/** Puts the address of this very view into the clipboard, or where it can be copied from. */
async function share({ target }) {
  window.history.replaceState(null, '', `${location.pathname}${location.search}${format(view)}`);
  const done = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
  write(target, done ? 'Copied' : 'See address');
  setTimeout(() => write(target, 'Copy link'), 1500);
}

// ---- What comes in -----------------------------------------------------------------------

const take = {
  stats(stats) {
    store.takeStats(stats);
    changed('cards', 'health', 'delays', 'mix', 'sources', 'pipeline', 'history');
  },
  live(result) {
    store.takeLive(result);
    settle();
    changed('field', 'fields', 'controls');
  },
  window(result) {
    store.takeResult(result);
    settle();
    changed('field', 'fields', 'bars', 'controls');
  },
  alert(alert) {
    store.takeAlert(alert);
    changed('alerts', 'health');
  },
  gap: () => load(), // something was missed: ask for all of it again
};

async function get(path, signal) {
  const response = await fetch(path, { signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

const aggregates = (name, limit, signal, more = '') => get(`/api/aggregates/${encodeURIComponent(name)}?limit=${limit}${more}`, signal);

const plainWindows = (windows) => windows.filter(({ group_by: by }) => by.length === 0).map(({ name }) => name);

let streamed = ''; // names of the windows that the stream brings
const loading = new Newest();

/** Fetches what was there before the stream began. */
const load = () => loading.run(async (signal) => {
  store.beginHistory();
  try {
    const paths = ['/api/windows', `/api/alerts?limit=${ALERTS_KEPT}`, `/api/alerts?state=firing&limit=${FIRING_KEPT}`];
    const [windows, told, firing] = await Promise.all(paths.map((path) => get(path, signal)));
    const plain = plainWindows(windows);
    if (plain.join() !== streamed) stream.connect();
    const lists = await Promise.all(plain.map((name) => aggregates(name, store.most(), signal)));
    signal.throwIfAborted();
    store.takeHistory(windows, new Map(plain.map((name, i) => [name, lists[i]])), told, firing);
    settle();
    everything();
    await refreshGroups();
  } catch (error) {
    if (signal.aborted) return; // a later load has taken over
    console.warn('loading failed, trying again:', error.message);
    setTimeout(() => signal.aborted || load(), 1000);
  }
});

// Results of grouped windows are asked for, not streamed: a window of many thousand groups closes
// at once, and the page shows some of them.
const grouped = new Map();

const refreshing = new Newest();

const refreshGroups = () => refreshing.run(async (signal) => {
  const isGrouped = (name) => store.windows.some((window) => window.name === name && window.group_by.length > 0);
  const wanted = [...new Set([view.groups, view.window])].filter(isGrouped);
  for (const name of grouped.keys()) if (!wanted.includes(name)) grouped.delete(name);
  const of = view.group.map((pair) => `&group=${encodeURIComponent(pair)}`).join('');
  const hasHistory = view.group.length > 0 && isGrouped(view.groups);
  try {
    const [own, ...lists] = await Promise.all([
      hasHistory ? aggregates(view.groups, GROUP_HISTORY, signal, of) : [],
      ...wanted.map((name) => aggregates(name, GROUP_RESULTS, signal)),
    ]);
    signal.throwIfAborted();
    history.results = own;
    wanted.forEach((name, i) => grouped.set(name, lists[i]));
  } catch (error) {
    if (signal.aborted) return; // something else is wanted by now
    console.warn('groups:', error.message); // asked for again soon
    return;
  }
  groups.results = grouped.get(view.groups) || [];
  grouped.forEach((results) => store.noteClosed(results));
  changed('groups', 'bars', 'history');
});

for (const list of document.querySelectorAll('[data-empty]')) fill(list, []);
wireControls();
applyTheme();
const stream = new Stream({
  path: streamPath,
  names: Object.keys(take),
  take: (name, data) => take[name](data),
  opened: load,
  freshness: (since) => {
    staleSince = since;
    changed('health');
  },
});

/** What to listen to: everything but the results of grouped windows. The daemon may be another by now,
 *  with other windows, so it is asked first. */
async function streamPath(lastId, signal) {
  streamed = plainWindows(await get('/api/windows', signal)).join();
  const query = new URLSearchParams({ events: 'stats,live,alert' });
  if (streamed !== '') {
    query.set('events', 'stats,live,alert,window');
    query.set('windows', streamed);
  }
  if (lastId !== '') query.set('last_event_id', lastId);
  return `/stream/metrics?${query}`;
}

setInterval(() => {
  if (document.visibilityState === 'visible' && stream.isOpen && !refreshing.isRunning) refreshGroups();
}, GROUPS_MS);
