// The connection to the daemon: one event stream, made again whenever it is lost.

const STALE_MS = 5000; // stats come every second; five missing are no accident
const SILENT_MS = 12000; // then the connection is taken for dead, whatever the browser believes
const RETRY_MS = 2000; // a refused stream (503) is not retried by the browser
const WATCH_MS = 1000;

/** Runs of a task of which only the newest counts. */
export class Newest {
  #last = new AbortController();
  isRunning = false;

  /** Runs `task(signal)`; the next run aborts the signal, whatever has become of this one by then. */
  async run(task) {
    this.#last.abort();
    const mine = new AbortController();
    this.#last = mine;
    this.isRunning = true;
    try {
      return await task(mine.signal);
    } finally {
      if (!mine.signal.aborted) this.isRunning = false;
    }
  }
}

/** Calls `take(name, data)` for each event, `opened()` for each connection that stands, and
 *  `freshness(since)` with the time of the last event when that is too long ago, or null when
 *  events come again. `path(lastId, signal)` promises what to connect to, and gives up after some seconds. */
export class Stream {
  #connecting = new Newest();
  #source = null;
  // Of a clock that nobody sets.
  #triedAt = 0;
  #heardAt = performance.now();
  #stale = false;
  #lastId = '';

  constructor({ path, names, take, opened, freshness }) {
    Object.assign(this, { path, names, take, opened, freshness });
    this.connect();
    setInterval(() => this.#watch(), WATCH_MS);
  }

  /** A new connection in the place of the old one, which goes on where that one ended. */
  connect() {
    this.#source?.close();
    this.#source = null;
    return this.#connecting.run(async (signal) => {
      // The browser sends Last-Event-ID when it reconnects by itself; a new stream says it in its address.
      const path = await this.path(this.#lastId, signal).catch(() => null);
      if (signal.aborted) return;
      this.#triedAt = performance.now();
      if (path === null) this.#lost();
      else this.#listen(path);
    });
  }

  #listen(path) {
    const source = new EventSource(path);
    this.#source = source;
    source.onopen = () => this.opened();
    source.onerror = () => this.#lost();
    for (const name of this.names) {
      source.addEventListener(name, (event) => {
        this.#heard(event.lastEventId);
        this.take(name, JSON.parse(event.data));
      });
    }
  }

  get isOpen() {
    return this.#source?.readyState === EventSource.OPEN;
  }

  #heard(id) {
    this.#heardAt = performance.now();
    if (id !== '') this.#lastId = id; // empty on a new connection until an event has one
    if (!this.#stale) return;
    this.#stale = false;
    this.freshness(null);
  }

  #lost() {
    if (this.#stale) return;
    this.#stale = true;
    this.freshness(new Date(Date.now() - (performance.now() - this.#heardAt)));
  }

  /** Sees what no event tells: a connection that is silent, or given up by the browser. */
  #watch() {
    const now = performance.now();
    if (now - this.#heardAt > STALE_MS) this.#lost();
    if (this.#connecting.isRunning) return;
    const closed = !this.#source || this.#source.readyState === EventSource.CLOSED;
    const since = Math.max(this.#triedAt, closed ? 0 : this.#heardAt);
    if (now - since > (closed ? RETRY_MS : SILENT_MS)) this.connect();
  }
}
