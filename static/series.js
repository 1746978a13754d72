// Numbers over time, bounded.

/** Named columns beside a time, of which the newest `capacity` rows are kept. Rows stand in arrays
 *  twice as long as that and are moved to the front when these are full: so a column is always one
 *  piece, a push is cheap, and nothing is made while it runs. */
export class Series {
  #columns;
  #capacity;
  #from = 0;
  #to = 0;

  constructor(names, capacity) {
    this.#capacity = capacity;
    this.#columns = new Map(['time', ...names].map((name) => [name, new Float64Array(capacity * 2)]));
  }

  get length() {
    return this.#to - this.#from;
  }

  /** The newest values of a column, oldest first. The array is a view: good until the next push. */
  column(name) {
    return this.#columns.get(name).subarray(this.#from, this.#to);
  }

  /** Takes a row in: an object with the names of the columns. What is no number becomes NaN. */
  push(time, row) {
    if (this.#to === this.#capacity * 2) {
      for (const column of this.#columns.values()) column.copyWithin(0, this.#from, this.#to);
      this.#to -= this.#from;
      this.#from = 0;
    }
    for (const [name, column] of this.#columns) {
      column[this.#to] = name === 'time' ? time : (row[name] ?? NaN);
    }
    this.#to += 1;
    if (this.length > this.#capacity) this.#from += 1;
  }

  clear() {
    this.#from = 0;
    this.#to = 0;
  }

  /** The time of the newest row, or -Infinity. */
  get last() {
    return this.length > 0 ? this.#columns.get('time')[this.#to - 1] : -Infinity;
  }

  /** Value `i` of a column, counted from the end: 0 is the newest. */
  newest(name, i = 0) {
    return i < this.length ? this.#columns.get(name)[this.#to - 1 - i] : NaN;
  }
}
