// A daemon that is gone leaves a page that says so, and one that is back brings it to life without a reload; a
// connection that breaks goes on where it ended; one that is silent is given up.

import assert from 'node:assert/strict';
import net from 'node:net';
import { CONFIG, generate, launch, openPage, rowsOf, slotText, startDaemon, waitUntil } from './harness.mjs';
import * as text from './static/format.js';

const browser = await launch();

/** Passes bytes on between the page and the daemon, and can be a bad network. */
async function startNetwork(daemon) {
  const pairs = new Set();
  const streams = []; // heads of the requests for the event stream
  const server = net.createServer((near) => {
    const far = net.connect(Number(daemon.http.split(':')[1]), '127.0.0.1');
    const pair = { near, far, isStream: false };
    pairs.add(pair);
    near.on('data', (bytes) => {
      const head = bytes.toString('latin1');
      if (head.startsWith('GET /stream/')) {
        pair.isStream = true;
        streams.push(head);
      }
      far.write(bytes);
    });
    far.on('data', (bytes) => near.write(bytes));
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on('error', () => {});
      one.on('close', () => {
        other.destroy();
        pairs.delete(pair);
      });
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const streamPairs = () => [...pairs].filter(({ isStream }) => isStream);
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    streams,
    cut: () => streamPairs().forEach(({ near }) => near.destroy()),
    silence: () => streamPairs().forEach(({ far }) => far.pause()),
    end: () => {
      server.close();
      pairs.forEach(({ near }) => near.destroy());
    },
  };
}

const isStale = (page) => page.evaluate(() => document.documentElement.classList.contains('stale'));

// ---- The daemon is killed, and another one takes its place ----
{
  const first = await startDaemon();
  const run = generate(first, '--rate', '500');
  const { page, complaints, context } = await openPage(browser, first.url, { allow: /ERR_|status of 400|MIME type|loading failed|groups:/ });
  await page.evaluate(() => { window.isTheSamePage = true; });
  await waitUntil('events', async () => assert.notEqual(await slotText(page, 'rate'), '0'));
  assert.equal(await isStale(page), false);
  await first.end('SIGKILL');
  await run.end();
  await waitUntil('stale', async () => {
    assert.match(await page.locator('#health').innerText(), /^●?\s*Stale since \d\d:\d\d:\d\d: no data/);
    assert.equal(await page.locator('#health').getAttribute('data-level'), 'critical');
    assert.ok(await isStale(page));
  });

  // The same ports, but a window less: that one must not keep the page from coming back.
  const second = await startDaemon(CONFIG.replace(/\[\[window\]\]\nname = "sliding"[^[]*/, ''), first);
  const again = generate(second, '--rate', '500', '--count', '1500');
  await again.done;
  await waitUntil('alive again', async () => {
    assert.equal(await isStale(page), false);
    assert.equal(await slotText(page, 'total'), '1,500');
    assert.deepEqual(await page.locator('#window option').allInnerTexts(), ['realtime', 'by-source']);
  });
  assert.ok(await page.evaluate(() => window.isTheSamePage), 'without a reload');
  assert.deepEqual(complaints, []);
  await context.close();
  await second.end();
}

// ---- A connection is cut, and then falls silent ----
{
  const daemon = await startDaemon();
  const network = await startNetwork(daemon);
  const run = generate(daemon, '--rate', '500');
  const { page, complaints, context } = await openPage(browser, network.url, { allow: /ERR_/ });
  await page.locator('#bars-panel summary').click();
  const rows = () => rowsOf(page, '#bars-panel details.numbers tbody');
  // Rows alone do not say that the stream has given a result: the page loads those it missed as well.
  let lastId = '';
  const devtools = await context.newCDPSession(page);
  devtools.on('Network.eventSourceMessageReceived', (message) => { lastId = message.eventId; });
  await devtools.send('Network.enable');
  await waitUntil('an event with an id', () => assert.notEqual(lastId, ''));
  assert.equal(network.streams.length, 1);
  assert.doesNotMatch(network.streams[0], /by-source/, 'results of groups are not streamed to the page');
  network.cut();
  await waitUntil('a second stream', () => assert.equal(network.streams.length, 2));
  assert.match(network.streams[1], /\r\nLast-Event-ID: [1-9]\d*\r\n/i);
  await waitUntil('fresh', async () => assert.equal(await isStale(page), false));

  network.silence();
  await waitUntil('stale', async () => assert.ok(await isStale(page)));
  await waitUntil('a third stream', () => assert.equal(network.streams.length, 3));
  assert.match(network.streams[2], /last_event_id=[1-9]\d*/);
  await waitUntil('fresh again', async () => assert.equal(await isStale(page), false));

  // Nothing is missing, and nothing is there twice.
  await run.end();
  await waitUntil('all windows', async () => {
    const results = (await daemon.get('/api/aggregates/realtime?limit=1000')).slice(-30);
    const shown = await rows();
    assert.deepEqual(shown.map((row) => [row[0], row[3]]), results.map((result) => [text.time(result.window_start), text.exact(result.event_count)]));
  });
  assert.deepEqual(complaints, []);
  await context.close();
  network.end();
  await daemon.end();
}

await browser.close();
console.log('ok: stale and back without a reload, on where a cut stream ended, a silent one given up');
