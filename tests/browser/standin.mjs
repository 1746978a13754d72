// Stands in for a daemon's event stream: everything else is passed on to a real one, and the messages are
// real ones, sent again at other times and as fast as one likes.

import http from 'node:http';
import { once } from 'node:events';

export async function startStandIn(daemon, newest) {
  const streams = new Set();
  const server = http.createServer((request, response) => {
    if (request.url.startsWith('/stream/')) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
      response.write('retry: 2000\n');
      streams.add(response);
      response.on('close', () => streams.delete(response));
      return;
    }
    const onward = http.request(daemon.url + request.url, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  let id = 0;
  // As the daemon's clock would have it.
  let time = Date.now() / 1000;

  async function send(event, data) {
    id += 1;
    for (const stream of streams) {
      if (!stream.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)) await once(stream, 'drain');
    }
  }

  const wobble = (stats) => Object.fromEntries(Object.entries(stats).map(([name, value]) => [name, name === 'count' ? value : value * (1 + 0.1 * Math.sin(time + id))]));
  const result = (template, size, isFinal) => {
    const start = Math.floor(time / size) * size;
    const aggregates = Object.fromEntries(Object.entries(template.aggregates).map(([name, stats]) => [name, wobble(stats)]));
    return { ...template, window_start: start, window_end: start + size, final: isFinal, aggregates };
  };

  const sent = {
    stats: (more = {}) => send('stats', { ...newest.stats, ...more, timestamp: new Date(time * 1000).toISOString(), uptime_seconds: time - 1.7e9 }),
    live: () => send('live', result(newest.live, 10, false)),
    window: (name, size) => send('window', result({ ...newest.window, window: name }, size, true)),
    alert: () => send('alert', { ...newest.alert, time: new Date(time * 1000).toISOString() }),
  };

  /** So many seconds of a daemon's life, at once: stats every second, live results four times, windows of
   *  10 seconds and of a minute, an alert with each of them. */
  async function live(seconds) {
    for (let second = 0; second < seconds; second += 1) {
      for (let quarter = 0; quarter < 4; quarter += 1) {
        time += 0.25;
        await sent.live();
      }
      await sent.stats();
      if (second % 10 === 0) {
        await sent.window('realtime', 10);
        await sent.alert();
      }
      if (second % 60 === 0) await sent.window('sliding', 60);
    }
  }

  return {
    url: `http://127.0.0.1:${server.address().port}`,
    live,
    sent,
    pass: (seconds) => { time += seconds; },
    streams,
    end: () => {
      streams.forEach((stream) => stream.destroy());
      server.close();
    },
  };
}
