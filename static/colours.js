// The colours of the style sheet, for canvases.

const root = document.documentElement;
const probe = document.createElement('span');
probe.hidden = true;
document.body.append(probe);
let known = null;

/** What canvases draw with. `of(name)` is the colour that the style sheet calls `--name`; asked once
 *  a theme, since asking costs more than drawing. */
export function colours() {
  if (known) return known;
  const style = getComputedStyle(root);
  const read = new Map();
  const of = (name) => {
    if (!read.has(name)) {
      probe.style.color = `var(--${name})`;
      read.set(name, getComputedStyle(probe).color);
    }
    return read.get(name);
  };
  known = {
    of,
    font: style.fontFamily,
    rem: Number.parseFloat(style.fontSize),
    text: of('text'),
    muted: of('muted'),
    line: of('line'),
    surface: of('surface'),
  };
  return known;
}

/** To be called when the theme or the size of the text has changed. */
export function forgetColours() {
  known = null;
}

const PARTS = 6;

/** The colour of part `i` of a whole: six of them, then one for the rest. */
export const partColour = (i) => (i < PARTS ? `part-${i + 1}` : 'part-rest');
