// Scales and ticks of charts. Pure.

/** The smallest of 1, 2 and 5 times a power of ten that cuts `span` into at most `parts`. */
export function niceStep(span, parts) {
  if (!(span > 0) || !(parts > 0)) return 1;
  const rough = span / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((f) => f * power >= rough * (1 - 1e-9));
  return factor * power;
}

/** Multiples of `step` within [lo, hi]. Counted, not added up, so that 0.1 stays 0.1. */
export function multiples(lo, hi, step) {
  const first = Math.ceil(lo / step - 1e-9);
  const last = Math.floor(hi / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => tidy((first + i) * step, step));
}

/** A multiple of `step` without the dust of binary arithmetic; -0 becomes 0. */
function tidy(x, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return (digits > 100 ? x : Number(x.toFixed(digits))) + 0;
}

/** At most about `parts` ticks within [lo, hi], at multiples of 1, 2 or 5 times a power of ten. */
export const ticks = (lo, hi, parts) => multiples(lo, hi, niceStep(hi - lo, parts));

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** The step in seconds, one that clocks have, that cuts `span` seconds into at most `parts`. */
export function timeStep(span, parts) {
  const rough = span / parts;
  return TIME_STEPS.find((step) => step >= rough) || niceStep(span / 86400, parts) * 86400;
}

/** Moments within [from, to], `step` seconds apart, at full minutes, hours and days of the clock
 *  that is `offset` seconds ahead of UTC. */
export const timeTicks = (from, to, step, offset = 0) =>
  multiples(from + offset, to + offset, step).map((t) => t - offset);

/** Powers of ten around [lo, hi], which are above 0. `before` is kept while it fits, as in `steady`. */
export function decades(before, lo, hi) {
  if (!(lo <= hi)) return before || [0.1, 1];
  const down = 10 ** Math.floor(Math.log10(lo) + 1e-9);
  const up = Math.max(10 ** Math.ceil(Math.log10(hi) - 1e-9), down * 10);
  const fits = before && lo >= before[0] && hi <= before[1] && Math.log10(up / down) > Math.log10(before[1] / before[0]) - 1.5;
  return fits ? before : [down, up];
}

/** Ticks of a logarithmic axis: powers of ten, with 2 and 5 times them where there is room. */
export function logTicks(lo, hi, parts) {
  const [first, last] = [Math.round(Math.log10(lo)), Math.round(Math.log10(hi))];
  const factors = (last - first) * 3 <= parts ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil((last - first) / parts));
  const powers = Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((power) => (power - first) % every === 0);
  // Through text, so that 1e-2 is 0.01 and nothing else.
  return powers.flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`))).filter((tick) => tick >= lo * (1 - 1e-9) && tick <= hi * (1 + 1e-9));
}

/** A logarithmic scale; what is not above 0 stands at the bottom. */
export function logarithmic(d0, d1, r0, r1) {
  const line = linear(Math.log10(d0), Math.log10(d1), r0, r1);
  return (x) => (x > d0 || Number.isNaN(x) ? line(Math.log10(x)) : r0);
}

/** The straight line through (d0, r0) and (d1, r1). */
export function linear(d0, d1, r0, r1) {
  const slope = d1 === d0 ? 0 : (r1 - r0) / (d1 - d0);
  return (x) => r0 + (x - d0) * slope;
}

/** Round bounds around [lo, hi]. `before` is kept as long as the values are inside and use half of
 *  it: an axis that follows every value would never stand still. */
export function steady(before, lo, hi, parts = 4) {
  if (!(lo <= hi)) return before || [0, 1];
  if (before) {
    const [from, to] = before;
    if (lo >= from && hi <= to && hi - lo >= (to - from) * 0.5) return before;
    const tight = round(lo, hi, parts);
    // A flat line between round bounds has no tighter ones.
    if (tight[1] - tight[0] >= (to - from) * 0.7 && lo >= from && hi <= to) return before;
    return tight;
  }
  return round(lo, hi, parts);
}

// Strangers choose values. An axis ends where a sum of two ends, or a power of ten, would no longer be a number.
const LEAST = 1e-300;
const MOST = 4e307;
const within = (x) => Math.max(-MOST, Math.min(MOST, x));

function round(least, most, parts) {
  const [lo, hi] = [within(least), within(most)];
  if (hi - lo < LEAST) {
    const half = Math.max(Math.abs(lo), Math.abs(hi)) * 0.1;
    return half < LEAST ? [0, 1] : round(lo - half, hi + half, parts);
  }
  const step = niceStep(hi - lo, parts);
  return [tidy(Math.floor(lo / step + 1e-9) * step, step), tidy(Math.ceil(hi / step - 1e-9) * step, step)];
}

/** The last index whose x is at most `x`, or -1. `xs` rises. */
export function indexAt(xs, x) {
  let [lo, hi] = [0, xs.length];
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if (xs[middle] <= x) lo = middle + 1;
    else hi = middle;
  }
  return lo - 1;
}

/** The index whose x is nearest to `x` and at most `reach` away, or -1. */
export function nearest(xs, x, reach = Infinity) {
  const left = indexAt(xs, x);
  const best = [left, left + 1]
    .filter((i) => i >= 0 && i < xs.length)
    .sort((a, b) => Math.abs(xs[a] - x) - Math.abs(xs[b] - x))[0];
  return best !== undefined && Math.abs(xs[best] - x) <= reach ? best : -1;
}
