// The page, changed in place. What comes from outside reaches it as text only, never as markup.

export const byId = (id) => document.getElementById(id);

const slots = new Map([...document.querySelectorAll('[data-slot]')].map((node) => [node.dataset.slot, node]));

/** Sets a text only where it differs: an equal write would still cost a layout. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const put = (slot, text) => write(slots.get(slot), text);

export const slot = (name) => slots.get(name);

/** Tells the style sheet how many characters a large figure has; those of what is written small behind it
 *  count for little more than half. */
export function measureFigure(node) {
  const small = node.querySelector('small')?.textContent.length || 0;
  const characters = String(node.textContent.trim().length - 0.45 * small);
  if (node.style.getPropertyValue('--characters') !== characters) node.style.setProperty('--characters', characters);
}

/** Makes an element with properties; `data` goes to its dataset. */
export function make(tag, { data = {}, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  Object.assign(node.dataset, data);
  node.append(...children);
  return node;
}

/** Makes `parent` have a child for each of `items`: `create()` makes a missing one and
 *  `update(child, item, i)` changes it. Children are reused in order; without items there is a note. */
export function fill(parent, items, create, update) {
  parent.querySelector(':scope > .empty')?.remove();
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, i) => {
    if (!parent.children[i]) parent.append(create());
    update(parent.children[i], item, i);
  });
  if (items.length === 0 && parent.dataset.empty) parent.append(emptyNote(parent));
}

function emptyNote(parent) {
  if (parent.tagName !== 'TBODY') return make('li', { className: 'empty', textContent: parent.dataset.empty });
  return make('tr', { className: 'empty' }, make('td', { colSpan: 20, textContent: parent.dataset.empty }));
}

/** A cell is a text; or `{text}` with `meter` and `label` for a number from 0 to 1 with a bar beside
 *  it, with `key` for something to click, or with `colour` for a swatch before it. */
function writeCell(cell, content) {
  if (typeof content === 'string') return write(cell, content);
  if (!cell.firstElementChild) cell.replaceChildren(...cellParts(content));
  const [first] = cell.children;
  if (content.meter !== undefined) {
    write(first, content.text);
    cell.lastElementChild.value = content.meter;
    cell.lastElementChild.setAttribute('aria-label', content.label);
  } else if (content.colour !== undefined) {
    first.style.background = `var(--${content.colour})`;
    write(cell.lastElementChild, content.text);
  } else {
    write(first, content.text);
    first.dataset.key = content.key;
  }
}

function cellParts(content) {
  if (content.meter !== undefined) {
    return [make('span'), make('meter', { min: 0, max: 1, low: 0.7, high: 0.9, optimum: 0 })];
  }
  if (content.colour !== undefined) return [make('i'), make('span')];
  return [make('button', { type: 'button', className: 'name' })];
}

function newRow(width) {
  const cells = Array.from({ length: width }, (_, i) => make(i === 0 ? 'th' : 'td'));
  cells[0].scope = 'row';
  return make('tr', {}, ...cells);
}

/** Makes the rows of a table's body show `rows`, lists of cells. */
export function fillRows(body, rows) {
  const width = rows[0]?.length || 0;
  if (body.rows[0] && body.rows[0].cells.length !== width) body.replaceChildren();
  fill(body, rows, () => newRow(width), (row, cells) => cells.forEach((cell, i) => writeCell(row.cells[i], cell)));
}

/** Makes a list of options show `names`. Those that stay are not touched: an open list must not jump
 *  under the pointer. */
export function fillSelect(select, names, chosen) {
  [...select.options].filter(({ value }) => !names.includes(value)).forEach((option) => option.remove());
  names.forEach((name, i) => {
    if (select.options[i]?.value !== name) select.add(new Option(name, name), i);
  });
  select.disabled = names.length === 0;
  if (select.value !== chosen) select.value = chosen;
}

/** A legend: `[{name, colour, text}]`. */
export function fillLegend(list, items) {
  const create = () => make('li', {}, make('i'), make('span'), make('b'));
  fill(list, items, create, (item, { name, colour, text }) => {
    const [swatch, label, value] = item.children;
    swatch.style.background = `var(--${colour})`;
    write(label, `${name} `);
    write(value, text);
  });
}
