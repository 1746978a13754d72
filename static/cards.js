// The cards at the top, and the words that say whether all is well.

import { Chart, paintSparkline } from './charts.js';
import { byId, measureFigure, put, slot, write } from './dom.js';
import { bytes, count, millis, percent, plural, span, time } from './format.js';
import { tipFor } from './tip.js';

const SPARK_S = 120;
const GAP_S = 3; // stats come every second

export class Cards {
  #rate = new Chart(byId('rate-spark'), paintSparkline);
  #figures = [...document.querySelectorAll('.figure')];
  #latency = new Chart(byId('latency-spark'), paintSparkline);

  constructor(store) {
    tipFor(byId('total-card'), () => totalTip(store.stats));
  }

  draw({ stats, series, latencies }) {
    if (!stats) return;
    const { processor, buffer, events } = stats;
    put('connections', plural(stats.connections, 'connection'));
    put('uptime', span(stats.uptime_seconds));
    put('version', stats.version);
    put('rate', count(processor.events_per_second));
    put('in-flight', `${count(events.in_flight)} in flight`);
    put('bytes', `${bytes(processor.bytes_processed)} read`);
    put('utilization', percent(buffer.utilization));
    // Said in words, too: colour alone is not for everybody.
    put('pressure', buffer.utilization > 0.9 ? 'critical' : buffer.utilization > 0.7 ? 'high' : '');
    byId('utilization').value = buffer.utilization;
    put('buffers', `${count(buffer.current_size)} of ${count(buffer.capacity)}, at most ${count(buffer.high_water_mark)}`);
    put('backpressure', `backpressure ${count(processor.backpressure_events)} ×`);
    put('total', count(processor.total_events));
    put('dropped', percent(buffer.drop_rate));
    slot('dropped').parentElement.dataset.level = buffer.total_dropped > 0 ? 'critical' : '';
    for (const name of ['rejected', 'late', 'filtered']) put(name, `${name} ${count(events[name])}`);
    for (const name of ['mean', 'p50', 'p99', 'p999']) put(`latency-${name}`, millis(latencies[name]));
    this.#figures.forEach(measureFigure);
    this.#spark(this.#rate, series, 'rate', 'part-1', (value) => ['events/s', count(value)]);
    this.#spark(this.#latency, series, 'mean', 'part-3', (value) => ['mean', millis(value)]);
  }

  #spark(chart, series, name, colour, words) {
    const [x, y] = [series.column('time'), series.column(name)];
    // Only what is in sight; a longer past would be drawn outside.
    const first = Math.max(0, x.length - SPARK_S - 2);
    const model = { from: series.last - SPARK_S, to: series.last, x: x.subarray(first), y: y.subarray(first), colour, gap: GAP_S };
    chart.show({ ...model, read: (i) => ({ title: time(model.x[i]), rows: [words(model.y[i])] }) });
  }
}

function totalTip(stats) {
  if (!stats) return { title: 'No figures yet', rows: [] };
  const { received, applied, filtered, late, rejected, dropped, in_flight: inFlight } = stats.events;
  const share = (n) => `${count(n)} (${percent(received > 0 ? n / received : 0)})`;
  const reasons = Object.entries(stats.events.rejected_by_reason).filter(([, n]) => n > 0);
  return {
    title: 'Where events ended',
    rows: [
      ['received', count(received)], ['applied', share(applied)], ['dropped', share(dropped)],
      ['rejected', share(rejected)], ...reasons.map(([reason, n]) => [`· ${reason}`, count(n)]),
      ['late', share(late)], ['filtered', share(filtered)], ['in flight', count(inFlight)],
    ],
  };
}

/** One line: whether anything is wrong, worst first. `[level, words]` */
export function health({ stats, lately, latencies, firing }, staleSince) {
  if (staleSince) return ['critical', `Stale since ${time(staleSince / 1000)}: no data from flumen, trying again …`];
  if (!stats) return ['quiet', 'Connecting …'];
  const wrong = troubles(stats, lately, [...firing.values()]);
  const worst = wrong.find(([level]) => level === 'critical') || wrong[0];
  if (worst) return [worst[0], wrong.map(([, words]) => words).join(' · ')];
  if (stats.events.received === 0) return ['quiet', 'Waiting for the first event'];
  // Not by the rate, which is of one second: one event every other second is all well. What was measured says it for the
  // time before the page was opened.
  if (lately.received === 0 && latencies.p50 === undefined) return ['quiet', 'No events are coming in'];
  return ['good', 'All well'];
}

/** Words that stay while a trouble lasts, since each change of them is read out. */
function troubles({ buffer }, lately, firing) {
  const of = (level) => firing.filter((alert) => alert.level === level).length;
  const [critical, warning] = [of('critical'), of('warning')];
  return [
    lately.dropped > 0 && ['critical', 'events are being dropped'],
    buffer.utilization > 0.9 && ['critical', 'buffers are nearly full'],
    critical > 0 && ['critical', `${plural(critical, 'critical alert')} firing`],
    buffer.utilization > 0.7 && buffer.utilization <= 0.9 && ['warning', 'buffers are filling'],
    lately.rejected > 0 && ['warning', 'events are being rejected'],
    lately.late > 0 && ['warning', 'events come too late'],
    warning > 0 && ['warning', `${plural(warning, 'alert')} firing`],
  ].filter(Boolean);
}

export function drawHealth(store, staleSince) {
  const [level, words] = health(store, staleSince);
  byId('health').dataset.level = level;
  write(byId('health'), words);
  const isWrong = level === 'warning' || level === 'critical';
  document.title = isWrong ? `${words} · flumen` : 'flumen';
  document.documentElement.classList.toggle('stale', Boolean(staleSince));
}
