// Numbers and times as text. Pure: nothing here looks at the page or keeps anything.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const exactly = new Intl.NumberFormat('en', { maximumSignificantDigits: 12 });
const two = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const clockFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const minuteFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' });
const dayFormat = new Intl.DateTimeFormat('en-CA'); // en-CA writes 2025-11-23

/** What stands where there is no number. */
export const NONE = '–';

export const known = (x) => typeof x === 'number' && Number.isFinite(x);

export const count = (x) => (known(x) ? whole.format(x) : NONE);

/** All digits that a value of a field has, for hovering and tables. */
export const exact = (x) => (known(x) ? exactly.format(x) : NONE);

export const millis = (x) => (known(x) ? `${three.format(x)} ms` : NONE);

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** For axes and small places: 950, 1.2k, 34k, 1.5M. */
export function short(x) {
  if (!known(x)) return NONE;
  const size = Number(Math.abs(x).toPrecision(3)); // 999,999 is 1M, not 1,000k
  if (size !== 0 && size < 0.001) return x.toExponential(0);
  if (size >= 1e15) return x.toExponential(1);
  const step = size < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(size) / 3 + 1e-9));
  return `${three.format(x / 1000 ** step)}${['', 'k', 'M', 'G', 'T'][step]}`;
}

/** A share from 0 to 1. What is not nothing is not written as nothing. */
export function percent(x) {
  if (!known(x)) return NONE;
  if (x > 0 && x < 0.0001) return '<0.01 %';
  return `${(x * 100).toFixed(x > 0 && x < 0.01 ? 2 : 1)} %`;
}

/** A value of a field, of which the unit and the size are unknown. */
export function measure(x) {
  if (!known(x)) return NONE;
  const size = Math.abs(x);
  if (size !== 0 && (size < 0.01 || size >= 1e9)) return x.toExponential(2);
  return size >= 1e5 ? whole.format(x) : two.format(x);
}

export function bytes(x) {
  if (!known(x)) return NONE;
  const step = x < 1024 ? 0 : Math.min(5, Math.floor(Math.log2(x) / 10));
  return `${three.format(x / 1024 ** step)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][step]}`;
}

export function span(seconds) {
  if (!known(seconds)) return '';
  const units = [['d', 86400], ['h', 3600], ['min', 60]];
  const [unit, size] = units.find(([, size]) => seconds >= size) || ['s', 1];
  return `${three.format(Math.round((seconds / size) * 10) / 10)} ${unit}`;
}

const isToday = (date, now) => dayFormat.format(date) === dayFormat.format(now);

/** The time of day of a moment in seconds, with the date where it is not today's (a replay). */
export function time(seconds, now = new Date()) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return NONE;
  return isToday(date, now) ? clockFormat.format(date) : `${dayFormat.format(date)} ${clockFormat.format(date)}`;
}

/** The same for an axis whose ticks are `step` seconds apart. */
export function axisTime(seconds, step) {
  const date = new Date(seconds * 1000);
  if (step >= 86400) return dayFormat.format(date);
  return step >= 60 ? minuteFormat.format(date) : clockFormat.format(date);
}

export function range(from, to, now = new Date()) {
  return `${time(from, now)} – ${clockFormat.format(new Date(to * 1000))}`;
}

/** A group as words: its values, and what they are the values of. */
export const groupName = (group) => Object.values(group || {}).map((value) => value ?? '(none)').join(' · ');

export const groupWords = (group) =>
  Object.entries(group || {}).map(([key, value]) => `${key} ${value ?? '(none)'}`).join(', ');
