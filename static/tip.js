// The one box that says what is under the pointer.

import { soon } from './frame.js';

const box = document.getElementById('tip');
const title = document.createElement('p');
const list = document.createElement('dl');
box.append(title, list);
let owner = null;

/** Shows `title` and `rows` ([name, text, colour] each) above the point `x` of an element. */
export function showTip(element, x, { title: heading, rows }) {
  owner = element;
  title.textContent = heading;
  list.replaceChildren(...rows.map(row));
  // A popover, because only such a box can lie over an open dialog.
  if (!box.matches(':popover-open')) box.showPopover();
  const around = element.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = box;
  const centre = around.left + x;
  // Beside the point rather than on it, and never outside the page.
  const right = centre + 14 + width < document.documentElement.clientWidth;
  const left = right ? centre + 14 : Math.max(4, centre - 14 - width);
  const top = Math.max(4, Math.min(around.top + 6, window.innerHeight - height - 4));
  box.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
}

function row([name, text, colour]) {
  const item = document.createElement('div');
  const term = document.createElement('dt');
  const value = document.createElement('dd');
  term.textContent = name;
  value.textContent = text;
  if (colour) {
    const swatch = document.createElement('i');
    swatch.style.background = colour;
    term.prepend(swatch);
  }
  item.append(term, value);
  return item;
}

/** Hides the box if it is this element's. */
export function hideTip(element) {
  if (owner !== element) return;
  owner = null;
  box.hidePopover();
}

/** Gives an element a box of its own on hover and focus; `read` says what is in it. */
export function tipFor(element, read) {
  const show = () => soon(() => showTip(element, element.clientWidth / 2, read()));
  element.addEventListener('pointerenter', show);
  element.addEventListener('focus', show);
  for (const name of ['pointerleave', 'blur']) element.addEventListener(name, () => hideTip(element));
  element.addEventListener('keydown', (event) => event.key === 'Escape' && hideTip(element));
}
