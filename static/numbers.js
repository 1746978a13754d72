// What is shown, as numbers: a table under each chart, and files to take along.

import { fillRows, make, write } from './dom.js';
import { count, exact, NONE, time } from './format.js';
import { soon } from './frame.js';
import { csv } from './csv.js';

const ROWS_SHOWN = 200;
const TIMES = ['start', 'end', 'time'];

/** Offers a text as a file. */
export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = make('a', { href: address, download: name });
  link.click();
  URL.revokeObjectURL(address);
}

const stamp = () => new Date().toISOString().slice(0, 19).replaceAll(':', '-');

/** Rows as objects with the names of the columns. */
export const records = ({ columns, rows }) =>
  rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]])));

/** The rows that a table has room for, and words if these are not all: of a list its first, and of what goes on over time
 *  its newest. */
export function cut({ rows, isList = false }) {
  const shown = isList ? rows.slice(0, ROWS_SHOWN) : rows.slice(-ROWS_SHOWN);
  const which = isList ? 'first' : 'newest';
  return { shown, note: rows.length > ROWS_SHOWN ? `The ${which} ${ROWS_SHOWN} of ${count(rows.length)}.` : '' };
}

/** Puts "Numbers" under a panel: a table, open or not, and two files. `read()` gives
 *  `{name, columns, rows}`, and `isList` if its first rows matter most; it is asked only while the table is open. */
export class Numbers {
  #details;
  #head = make('tr');
  #body = make('tbody', { data: { empty: 'Nothing yet.' } });
  #note = make('span');
  #read;
  #task = () => this.#draw();

  constructor(panel, label, read) {
    this.#read = read;
    const file = (text, press) => {
      const button = make('button', { type: 'button', textContent: text, ariaLabel: `${label} as ${text}` });
      button.addEventListener('click', press);
      return button;
    };
    const table = make('table', { ariaLabel: label }, make('thead', {}, this.#head), this.#body);
    const scroll = make('div', { className: 'scroll', tabIndex: 0, role: 'group', ariaLabel: `${label}: numbers` }, table);
    const files = make('p', {}, file('CSV', () => this.#csv()), file('JSON', () => this.#json()), this.#note);
    this.#details = make('details', { className: 'numbers' }, make('summary', { textContent: 'Numbers' }), scroll, files);
    this.#details.addEventListener('toggle', () => this.changed());
    panel.append(this.#details);
  }

  read() {
    return this.#read();
  }

  /** What the table shows may be another now. */
  changed() {
    if (this.#details.open) soon(this.#task);
  }

  #draw() {
    const { columns, ...read } = this.#read();
    if (this.#head.children.length !== columns.length) this.#head.replaceChildren(...columns.map(() => make('th', { scope: 'col' })));
    columns.forEach((column, i) => { this.#head.children[i].textContent = column; });
    const cell = (value, i) => {
      if (TIMES.includes(columns[i]) && typeof value === 'number') return time(value);
      return typeof value === 'number' ? exact(value) : value === null || value === undefined ? NONE : String(value);
    };
    const { shown, note } = cut(read);
    fillRows(this.#body, shown.map((row) => row.map(cell)));
    write(this.#note, note);
  }

  #csv() {
    const numbers = this.#read();
    save(`flumen-${numbers.name}-${stamp()}.csv`, 'text/csv', csv(numbers));
  }

  #json() {
    const numbers = this.#read();
    save(`flumen-${numbers.name}-${stamp()}.json`, 'application/json', JSON.stringify(records(numbers), null, 1));
  }
}
