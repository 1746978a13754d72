// The live page. One event stream feeds `state`; `draw` shows the newest state, at most once an
// animation frame, however fast events come. All that is kept is bounded, and what comes from
// outside reaches the page as text only, never as markup.

const WINDOWS_KEPT = 10; // results of each window
const ALERTS_KEPT = 10;
const TYPES_SHOWN = 12;
const FIELDS_KEPT = 200;
const STALE_MS = 5000; // stats come every second; five missing are no accident
const SILENT_MS = 12000; // then the connection is taken for dead, whatever the browser believes
const RETRY_MS = 3000; // a refused stream (503) is not retried by the browser

const state = {
  stats: null,
  live: null,
  windows: [], // as /api/windows lists them
  results: new Map(), // window name -> its newest results, newest first
  loading: null, // what `results` will be once a load is done
  alerts: [], // newest first
  fields: new Set(),
  field: '',
  chosen: false, // whether somebody chose the field
  staleSince: null, // a Date while what is shown is old
};

const slots = new Map([...document.querySelectorAll('[data-slot]')].map((node) => [node.dataset.slot, node]));
const byId = (id) => document.getElementById(id);

// ---- Numbers and times as text ------------------------------------------------------------

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const two = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const day = new Intl.DateTimeFormat('en-CA'); // en-CA writes 2025-11-23

const known = (x) => typeof x === 'number' && Number.isFinite(x);
const count = (x) => (known(x) ? whole.format(x) : '–');
const millis = (x) => (known(x) ? `${three.format(x)} ms` : '–');

/** A share from 0 to 1. What is not nothing is not written as nothing. */
function percent(x) {
  if (!known(x)) return '–';
  if (x > 0 && x < 0.0001) return '<0.01 %';
  return `${(x * 100).toFixed(x > 0 && x < 0.01 ? 2 : 1)} %`;
}

/** A value of a field, of which the unit and the size are unknown. */
function measure(x) {
  if (!known(x)) return '–';
  const size = Math.abs(x);
  if (size !== 0 && (size < 0.01 || size >= 1e9)) return x.toExponential(2);
  return size >= 1e5 ? whole.format(x) : two.format(x);
}

function bytes(x) {
  if (!known(x)) return '–';
  const step = x < 1024 ? 0 : Math.min(5, Math.floor(Math.log2(x) / 10));
  return `${three.format(x / 1024 ** step)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][step]}`;
}

function span(seconds) {
  if (!known(seconds)) return '';
  const units = [['d', 86400], ['h', 3600], ['min', 60]];
  const [unit, size] = units.find(([, size]) => seconds >= size) || ['s', 1];
  return `${three.format(Math.round((seconds / size) * 10) / 10)} ${unit}`;
}

/** The time of day, with the date where it is not today's (a replay). */
function time(date) {
  if (Number.isNaN(date.getTime())) return '–';
  const today = day.format(date) === day.format(new Date());
  return today ? clock.format(date) : `${day.format(date)} ${clock.format(date)}`;
}

function range(result) {
  const [start, end] = [result.window_start, result.window_end].map((s) => new Date(s * 1000));
  return `${time(start)} – ${clock.format(end)}`;
}

// ---- The page, changed in place -----------------------------------------------------------

/** Sets a text only where it differs: an equal write would still cost a layout. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const put = (slot, text) => write(slots.get(slot), text);

/** A cell is a text, or `{text, meter, label}` for a number from 0 to 1 with a bar beside it,
 *  or `{text, style}` for one of the classes in the style sheet. */
function writeCell(cell, content) {
  if (typeof content === 'string') return write(cell, content);
  cell.className = content.style || '';
  if (content.meter === undefined) return write(cell, content.text);
  if (!cell.lastElementChild) {
    const meter = document.createElement('meter');
    Object.assign(meter, { min: 0, max: 1, low: 0.7, high: 0.9, optimum: 0 });
    cell.replaceChildren(document.createElement('span'), meter);
  }
  write(cell.firstElementChild, content.text);
  cell.lastElementChild.value = content.meter;
  cell.lastElementChild.setAttribute('aria-label', content.label);
}

function newRow(width) {
  const row = document.createElement('tr');
  for (let i = 0; i < width; i += 1) row.append(document.createElement(i === 0 ? 'th' : 'td'));
  row.firstElementChild.scope = 'row';
  return row;
}

/** Makes the rows of `body` after the first `skip` show `rows`; existing rows are reused. */
function fill(body, rows, skip = 0) {
  body.querySelector('.empty')?.remove();
  while (body.rows.length > skip + rows.length) body.lastElementChild.remove();
  rows.forEach((cells, i) => {
    if (!body.rows[skip + i]) body.append(newRow(cells.length));
    const row = body.rows[skip + i];
    cells.forEach((content, j) => writeCell(row.cells[j], content));
  });
  if (rows.length > 0) return;
  const note = body.insertRow();
  note.className = 'empty';
  note.insertCell().colSpan = 7;
  note.cells[0].textContent = body.dataset.empty;
}

function drawBanner() {
  const since = state.staleSince;
  write(byId('banner'), since ? `Stale since ${time(since)}: no data from flumen. Trying again …` : '');
}

function drawStats() {
  if (!state.stats) return;
  drawCards(state.stats);
  drawThreads(state.stats.threads || []);
  drawCounts(state.stats);
}

function drawCards({ processor, buffer, events, ...rest }) {
  put('connections', count(rest.connections));
  put('uptime', span(rest.uptime_seconds));
  put('version', rest.version);
  put('rate', count(processor.events_per_second));
  put('in-flight', count(events.in_flight));
  put('bytes', bytes(processor.bytes_processed));
  put('utilization', percent(buffer.utilization));
  // Said in words, too: colour alone is not for everybody.
  put('pressure', buffer.utilization > 0.9 ? 'critical' : buffer.utilization > 0.7 ? 'high' : '');
  byId('utilization').value = buffer.utilization;
  put('buffers', `${count(buffer.current_size)} of ${count(buffer.capacity)}`);
  put('high-water', count(buffer.high_water_mark));
  put('backpressure', `${count(processor.backpressure_events)} ×`);
  put('total', count(processor.total_events));
  put('dropped', `${percent(buffer.drop_rate)} (${count(buffer.total_dropped)})`);
  for (const name of ['rejected', 'late', 'filtered']) put(name, count(events[name]));
  put('latency-mean', millis(processor.processing_time_ms));
  for (const name of ['p50', 'p99', 'p999']) put(`latency-${name}`, millis(processor.latency_ms[name]));
}

function drawThreads(threads) {
  fill(byId('threads'), threads.map(({ name, core, pinned, busy, ring }) => {
    const fullness = ring && ring.capacity > 0 ? ring.len / ring.capacity : 0;
    return [
      name,
      core === null ? 'any' : `${core}${pinned ? '' : ' (not pinned)'}`,
      { text: percent(busy), meter: busy, label: `${name}: busy` },
      { text: ring && ring.capacity > 0 ? percent(fullness) : 'none', meter: fullness, label: `${name}: ring fill` },
    ];
  }));
}

function drawCounts({ event_types: types = {}, top_sources: sources = [] }) {
  const all = Object.entries(types).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  const total = all.reduce((sum, [, n]) => sum + n, 0);
  const rows = all.slice(0, TYPES_SHOWN);
  const rest = all.slice(TYPES_SHOWN);
  if (rest.length > 0) rows.push([`${rest.length} more`, rest.reduce((sum, [, n]) => sum + n, 0)]);
  fill(byId('types'), rows.map(([type, n]) => [type, count(n), percent(n / total)]));
  fill(byId('sources'), sources.map(({ source, count: n }) => [source, count(n)]));
}

/** Adds options for new fields, in order. Options stay where they are: an open list must not
 *  jump under the pointer. */
function drawFields() {
  const select = byId('field');
  const names = [...state.fields].sort();
  if (select.disabled && names.length > 0) {
    select.disabled = false;
    select.replaceChildren();
  }
  names.forEach((name, i) => {
    if (select.options[i]?.value !== name) select.add(new Option(name, name), i);
  });
  if (names.length > 0) select.value = state.field;
}

function drawLive() {
  const { live } = state;
  const stats = live?.aggregates[state.field];
  put('live-when', live ? [live.window, range(live), group(live)].filter(Boolean).join(', ') : 'nothing');
  put('live-events', count(live?.event_count));
  put('live-count', count(stats?.count));
  for (const name of ['avg', 'min', 'max', 'p95']) put(`live-${name}`, measure(stats?.[name]));
}

function drawAlerts() {
  fill(byId('alerts'), state.alerts.map(({ time: at, level, message, state: phase }) => [
    time(new Date(at)),
    // One that is over is told, not shouted.
    { text: level, style: phase === 'firing' ? `firing-${level}` : '' },
    phase === 'firing' ? message : `${phase}: ${message}`,
  ]));
}

function drawResults() {
  state.windows.forEach(drawWindow);
}

/** One window's part of the table, made when the window is first seen. */
function drawWindow(window) {
  const id = `window-${window.name}`;
  let body = byId(id);
  if (!body) {
    body = document.createElement('tbody');
    body.id = id;
    body.dataset.empty = 'No window has closed yet.';
    const title = document.createElement('th');
    Object.assign(title, { scope: 'rowgroup', colSpan: 7 });
    body.insertRow().append(title);
    byId('closed').append(body);
  }
  const by = window.group_by?.length > 0 ? `by ${window.group_by.join(', ')}` : '';
  const every = window.slide_seconds && `every ${span(window.slide_seconds)}`;
  const gap = window.gap_seconds && `gap ${span(window.gap_seconds)}`;
  const where = window.where && `where ${window.where}`;
  const about = [window.kind, span(window.size_seconds), every, gap, by, where].filter(Boolean).join(', ');
  write(body.rows[0].cells[0], `${window.name} (${about})`);
  fill(body, (state.results.get(window.name) || []).map(resultCells), 1);
}

function resultCells(result) {
  const stats = result.aggregates[state.field];
  const notes = [group(result), result.revision > 0 && `revision ${result.revision}`, (result.partial || !result.final) && 'partial'];
  const when = [range(result), ...notes.filter(Boolean)].join(', ');
  const figures = ['avg', 'min', 'max', 'p95'].map((name) => measure(stats?.[name]));
  return [when, count(result.event_count), count(stats?.count), ...figures];
}

const group = (result) => Object.entries(result.group || {}).map(([key, value]) => `${key} ${value ?? '(none)'}`).join(', ');

// ---- What changed, drawn once a frame -----------------------------------------------------

const drawn = {
  banner: drawBanner,
  stats: drawStats,
  fields: drawFields,
  live: drawLive,
  results: drawResults,
  alerts: drawAlerts,
};
const dirty = new Set();

/** Asks for parts to be drawn. A hidden page gets no frames: it draws the newest state when it
 *  is looked at again. */
function changed(...parts) {
  if (dirty.size === 0) requestAnimationFrame(draw);
  parts.forEach((part) => dirty.add(part));
}

function draw() {
  const parts = [...dirty];
  dirty.clear(); // first, so that a part that throws does not stop the page for good
  parts.forEach((part) => drawn[part]());
}

// ---- What comes in ------------------------------------------------------------------------

const key = (result) => JSON.stringify([result.window_start, result.window_end, result.group]);

/** Keeps a result among the newest of its window; a revision takes its predecessor's place. */
function remember(results, result) {
  const list = results.get(result.window) || [];
  const old = list.findIndex((other) => key(other) === key(result));
  if (old >= 0 && list[old].revision > result.revision) return;
  if (old >= 0) list.splice(old, 1);
  // A session that late events have made longer names the results it takes the place of.
  for (const gone of result.replaces || []) {
    const at = list.findIndex((other) => key(other) === key({ ...gone, group: result.group }));
    if (at >= 0) list.splice(at, 1);
  }
  list.push(result);
  list.sort((a, b) => b.window_end - a.window_end || b.window_start - a.window_start || (key(a) < key(b) ? -1 : 1));
  results.set(result.window, list.slice(0, WINDOWS_KEPT));
}

/** Learns the fields of a result; `value` is shown until somebody chooses. */
function learnFields(result) {
  for (const name of Object.keys(result.aggregates)) {
    if (state.fields.has(name) || state.fields.size >= FIELDS_KEPT) continue;
    state.fields.add(name);
    if (!state.field || (name === 'value' && !state.chosen)) state.field = name;
    changed('fields', 'live', 'results');
  }
}

/** Keeps the newest alerts; those that both the stream and a load bring count once. */
function keepAlerts(more) {
  const unlike = new Map([...state.alerts, ...more].map((alert) => [JSON.stringify(alert), alert]));
  state.alerts = [...unlike.values()].sort((a, b) => (a.time < b.time ? 1 : -1)).slice(0, ALERTS_KEPT);
  changed('alerts');
}

const received = {
  stats(stats) {
    state.stats = stats;
    changed('stats');
  },
  live(result) {
    learnFields(result);
    state.live = result;
    changed('live');
  },
  window(result) {
    // A window that the server does not list would never be drawn, nor forgotten.
    if (!state.windows.some(({ name }) => name === result.window)) wanted = true;
    else remember(state.results, result);
    if (state.loading) remember(state.loading, result);
    learnFields(result);
    if (state.live && state.live.window === result.window && key(state.live) === key(result)) state.live = null;
    changed('results', 'live');
  },
  alert(alert) {
    keepAlerts([alert]);
  },
  gap() {
    wanted = true; // something was missed: ask for all of it again
  },
};

async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

let wanted = false; // a load is due

/** Fetches what was there before the stream began. Results that the stream brings meanwhile go
 *  into both the old and the new set, so that none is lost and the table never goes blank. */
async function load() {
  wanted = false;
  const results = new Map();
  state.loading = results;
  try {
    const [windows, alerts] = await Promise.all([get('/api/windows'), get(`/api/alerts?limit=${ALERTS_KEPT}`)]);
    const lists = await Promise.all(windows.map(({ name }) =>
      get(`/api/aggregates/${encodeURIComponent(name)}?limit=${WINDOWS_KEPT}`)));
    if (state.loading !== results) return; // a later load has taken over
    lists.flat().forEach((result) => {
      remember(results, result);
      learnFields(result);
    });
    for (const gone of state.windows.filter((old) => !windows.some(({ name }) => name === old.name))) {
      byId(`window-${gone.name}`)?.remove();
    }
    Object.assign(state, { windows, results, loading: null });
    keepAlerts(alerts);
    changed('results');
  } catch (error) {
    console.warn('loading failed, trying again:', error.message);
    wanted = true;
  }
}

// ---- The stream ---------------------------------------------------------------------------

let source = null;
let openedAt = 0;
let heardAt = Date.now();

function connect() {
  source?.close();
  openedAt = Date.now();
  source = new EventSource('/stream/metrics');
  source.onopen = opened;
  source.onerror = markStale;
  for (const [name, take] of Object.entries(received)) {
    source.addEventListener(name, (event) => {
      heard();
      take(JSON.parse(event.data));
    });
  }
}

/** The first time, and after each reconnection, when the daemon may be another. */
function opened() {
  state.live = null;
  changed('live');
  load();
}

function heard() {
  heardAt = Date.now();
  if (!state.staleSince) return;
  state.staleSince = null;
  changed('banner');
}

function markStale() {
  if (state.staleSince) return;
  state.staleSince = new Date(heardAt);
  changed('banner');
}

/** Sees what no event tells: a connection that is silent, or given up by the browser. */
function watch() {
  const now = Date.now();
  if (now - heardAt > STALE_MS) markStale();
  const closed = source.readyState === EventSource.CLOSED;
  if (now - Math.max(openedAt, closed ? 0 : heardAt) > (closed ? RETRY_MS : SILENT_MS)) connect();
  if (wanted && source.readyState === EventSource.OPEN) load();
}

byId('field').addEventListener('change', (event) => {
  state.field = event.target.value;
  state.chosen = true;
  changed('live', 'results');
});
for (const id of ['alerts', 'threads', 'types', 'sources']) fill(byId(id), []);
connect();
setInterval(watch, 1000);
