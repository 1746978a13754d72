// What of the page can be shared by its address, after the `#`. Pure.

export const RANGES = { '2m': 120, '10m': 600, '1h': 3600 };
export const STATISTICS = ['events', 'avg', 'min', 'max', 'sum', 'count', 'std', 'p50', 'p95', 'p99'];
export const THEMES = ['auto', 'light', 'dark'];

export const DEFAULTS = {
  field: '', // '' is for the page to choose
  window: '',
  stat: 'events',
  groups: '', // the window of the table of groups
  filter: '',
  sort: '',
  source: '', // whose history is open
  group: [], // the group whose history is open: member=value each, in the window `groups`
  range: '2m',
  theme: 'auto',
};

const TEXT = ['field', 'window', 'groups', 'filter', 'sort', 'source'];
const MAX_LENGTH = 256;

/** What an address says; what it says wrongly or not at all is as by default. */
export function parse(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  const view = { ...DEFAULTS, group: given.getAll('group').slice(0, 16) };
  for (const name of TEXT) view[name] = (given.get(name) || '').slice(0, MAX_LENGTH);
  const choose = (name, allowed) => {
    if (allowed.includes(given.get(name))) view[name] = given.get(name);
  };
  choose('stat', STATISTICS);
  choose('range', Object.keys(RANGES));
  choose('theme', THEMES);
  return view;
}

/** The address that says this; what is as by default is left out. */
export function format(view) {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) {
    if (name === 'group') value.forEach((pair) => said.append('group', pair));
    else if (value !== DEFAULTS[name]) said.set(name, value);
  }
  const text = said.toString();
  return text === '' ? '' : `#${text}`;
}
