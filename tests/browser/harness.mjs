// What the browser tests share: a daemon, the generator, a browser, and waiting for what is expected.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import WebSocket from 'ws';

const PATIENCE_MS = 90_000;

/** Waits until `look()` gives something, or fails with what it said last. */
export async function waitFor(what, look, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  let last;
  while (Date.now() < deadline) {
    try {
      const found = await look();
      if (found) return found;
      last = found;
    } catch (error) {
      last = error;
    }
    await sleep(30);
  }
  throw new Error(`waited in vain for ${what}: ${last?.message ?? last}`);
}

/** Waits until `check()`, which asserts something about what moves, does not throw. */
export const waitUntil = (what, check) => waitFor(what, async () => {
  await check();
  return true;
});

// Short windows, so that some close while one looks, of each kind that the page treats differently.
export const CONFIG = `
[time]
watermark_delay = "300ms"
idle_timeout = "500ms"
[[window]]
name = "realtime"
kind = "tumbling"
size = "2s"
[[window]]
name = "sliding"
kind = "sliding"
size = "6s"
slide = "2s"
[[window]]
name = "by-source"
kind = "tumbling"
size = "2s"
group_by = ["source"]
[[alert]]
name = "any-value"
window = "realtime"
field = "value"
statistic = "max"
above = 1.0
level = "warning"
message = "Value up to {value:.1}"
`;

/** The default alert on sensors, for configurations that name their alerts. */
export const HIGH_SENSOR_VALUE = `[[alert]]
name = "high-sensor-value"
window = "realtime"
field = "value"
statistic = "max"
above = 80.0
level = "warning"
message = "High sensor value detected: {value:.1}"
`;

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

function start(args) {
  const child = spawn(process.env.FLUMEN, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, RUST_BACKTRACE: '1' } });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** A daemon on ports of its own, or on those of `like`, an earlier one. */
export async function startDaemon(config = CONFIG, like = null) {
  const dir = mkdtempSync(join(tmpdir(), 'flumen-browser-'));
  const [file, addresses] = [join(dir, 'flumen.toml'), join(dir, 'addresses')];
  writeFileSync(file, config);
  const child = start(['serve', '--config', file, '--addresses-file', addresses,
    '--ingest-listen', like?.ingest || '127.0.0.1:0', '--http-listen', like?.http || '127.0.0.1:0']);
  await waitFor('the addresses file', () =>
    child.exitCode !== null || (existsSync(addresses) && readFileSync(addresses, 'utf8').includes('http=')));
  assert.equal(child.exitCode, null, 'the daemon runs');
  const found = Object.fromEntries(readFileSync(addresses, 'utf8').trim().split('\n').map((line) => line.split('=')));
  const url = `http://${found.http}`;
  return {
    ...found,
    url,
    get: async (path) => (await fetch(url + path)).json(),
    end: async (signal = 'SIGTERM') => {
      const exit = once(child, 'exit');
      child.kill(signal);
      await exit;
      rmSync(dir, { recursive: true });
    },
  };
}

/** A generator that sends to the daemon; `done` waits for its end, `end()` makes it. */
export function generate(daemon, ...args) {
  const child = start(['generate', '--url', `ws://${daemon.ingest}/ws/ingest`, '--seed', '7', '--quiet', ...args]);
  const done = once(child, 'exit');
  return {
    done,
    end: async () => {
      child.kill('SIGTERM');
      await done;
    },
  };
}

/** All that has been received is in windows, and these have closed. */
export const atRest = (daemon) => waitFor('rest', async () => {
  const { events } = await daemon.get('/api/stats');
  const newest = (await daemon.get('/api/aggregates/realtime?limit=1'))[0];
  const results = await daemon.get('/api/aggregates/realtime?limit=1000');
  const counted = results.reduce((sum, result) => sum + result.event_count, 0);
  return events.received > 0 && events.in_flight === 0 && newest && counted === events.applied;
});

/** Follows the event stream beside the page. */
export async function follow(daemon, query = '') {
  const newest = {};
  const abort = new AbortController();
  const response = await fetch(`${daemon.url}/stream/metrics${query}`, { signal: abort.signal });
  const read = async () => {
    let text = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const frames = (text + chunk).split('\n\n');
      text = frames.pop();
      for (const frame of frames) {
        const lines = Object.fromEntries(frame.split('\n').map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]));
        if (lines.data) newest[lines.event || 'message'] = JSON.parse(lines.data);
      }
    }
  };
  read().catch(() => {}); // ended by stop(), or by the daemon
  return { newest, stop: () => abort.abort() };
}

export const launch = (...more) => chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...more],
});

/** Opens the dashboard in a fresh context. `complaints` are errors on the console, exceptions and
 *  violations of the content security policy; what `allow` matches is expected. */
export async function openPage(browser, url, { allow = /^$/, before, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'dark', acceptDownloads: true, ...options });
  const page = await context.newPage();
  const complaints = [];
  const complain = (text) => allow.test(text) || complaints.push(text);
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complain(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complain(`exception: ${error.stack}`));
  page.on('request', (request) => new URL(request.url()).origin === new URL(url).origin || request.url().startsWith('data:')
    || request.url().startsWith('blob:') || complain(`asks elsewhere: ${request.url()}`));
  await page.exposeFunction('complainOfPolicy', complain);
  await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) =>
    window.complainOfPolicy(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`)));
  if (before) await page.addInitScript(before);
  await page.goto(url);
  return { page, context, complaints, text: (selector) => page.locator(selector).innerText() };
}

/** Sends single events. */
export async function openSender(daemon) {
  const socket = new WebSocket(`ws://${daemon.ingest}/ws/ingest`);
  await once(socket, 'open');
  return (event) => socket.send(JSON.stringify(event));
}

export const slotText = (page, name) => page.locator(`[data-slot="${name}"]`).textContent();

/** The texts of the rows of a table's body. */
export const rowsOf = (page, selector) => page.locator(selector).evaluate((body) =>
  [...body.rows].map((row) => [...row.cells].map((cell) => cell.innerText.trim())));

/** Points at a share of a canvas and reads the box that says what is there. */
export async function pointAt(page, selector, shareX, shareY = 0.5) {
  const canvas = page.locator(selector);
  await canvas.scrollIntoViewIfNeeded();
  const box = await canvas.boundingBox();
  await page.mouse.move(box.x + box.width * shareX, box.y + box.height * shareY);
  return page.locator('#tip').evaluate((tip) => new Promise((resolve) => {
    requestAnimationFrame(() => requestAnimationFrame(() => resolve({
      title: tip.querySelector('p').textContent,
      rows: Object.fromEntries([...tip.querySelectorAll('dl div')].map((row) => [...row.children].map((part) => part.textContent))),
    })));
  }));
}
