// Charts with axes: lines, steps and bands over time, and bars.

import { dot, polyline } from './charts.js';
import { axisTime, short } from './format.js';
import { decades, indexAt, linear, logarithmic, logTicks, nearest, steady, ticks, timeStep, timeTicks } from './scale.js';

/** The place of the plot within the canvas; the same whatever the numbers, so that nothing moves. */
function plotBox({ width, height, rem }) {
  return { left: rem * 2.9, right: width - rem * 0.6, top: rem * 0.5, bottom: height - rem * 1.5 };
}

function paintValueAxis({ context, palette, rem }, box, [lo, hi], toY, format, cut = ticks) {
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  const parts = Math.max(2, Math.floor((box.bottom - box.top) / (rem * 2.2)));
  for (const value of cut(lo, hi, parts)) {
    const y = Math.round(toY(value)) + 0.5;
    context.strokeStyle = palette.line;
    context.beginPath();
    context.moveTo(box.left, y);
    context.lineTo(box.right, y);
    context.stroke();
    context.fillStyle = palette.muted;
    context.fillText(format(value), box.left - rem * 0.4, y);
  }
}

function paintTimeAxis({ context, palette, rem }, box, from, to, toX) {
  const step = timeStep(to - from, Math.max(2, Math.floor((box.right - box.left) / (rem * 6))));
  const offset = -new Date(to * 1000).getTimezoneOffset() * 60;
  context.textAlign = 'center';
  context.textBaseline = 'top';
  context.fillStyle = palette.muted;
  for (const moment of timeTicks(from, to, step, offset)) {
    const [x, text] = [toX(moment), axisTime(moment, step)];
    // Not cut off at the sides: a label that does not fit is left out.
    const half = context.measureText(text).width / 2;
    if (x - half >= box.left - rem * 2.5 && x + half <= box.right + rem * 0.6) context.fillText(text, x, box.bottom + rem * 0.4);
  }
}

/** Lowest and highest of what is visible, and can be shown. */
function extent(series, from, to, log) {
  let [lo, hi] = [Infinity, -Infinity];
  for (const { x, ends, y, low } of series) {
    for (let i = 0; i < x.length; i += 1) {
      if ((ends ? ends[i] : x[i]) < from || x[i] > to) continue;
      const bottom = low ? low[i] : y[i];
      if (bottom < lo && !(log && bottom <= 0)) lo = bottom;
      if (y[i] > hi) hi = y[i];
    }
  }
  return [lo, hi];
}

function valueScale(model, [lo, hi], box) {
  if (model.log) {
    model.scale.bounds = decades(model.scale.bounds, lo, hi);
    return { toY: logarithmic(...model.scale.bounds, box.bottom, box.top), cut: logTicks };
  }
  model.scale.bounds = steady(model.scale.bounds, model.zero ? Math.min(0, lo) : lo, hi);
  return { toY: linear(...model.scale.bounds, box.bottom, box.top), cut: ticks };
}

/** Series over time: `{from, to, series, format, zero, log, heading(t), scale}`. A series has `name`,
 *  `colour`, rising `x` and `y`, and is a line (with `gap`, the largest distance that is joined), or
 *  with `ends` steps that last from x to there, or with `low` too a band between low and y. `scale`
 *  is where the painter keeps the bounds of the axis from one time to the next. */
export function paintLines(pen, model) {
  const { context, palette } = pen;
  const box = plotBox(pen);
  const { from, to, series } = model;
  const { toY, cut } = valueScale(model, extent(series, from, to, model.log), box);
  const toX = linear(from, to, box.left, box.right);
  paintValueAxis(pen, box, model.scale.bounds, toY, model.axis || short, cut);
  paintTimeAxis(pen, box, from, to, toX);
  context.save();
  context.beginPath();
  context.rect(box.left, box.top - 2, box.right - box.left, box.bottom - box.top + 4);
  context.clip();
  for (const one of series) {
    context.strokeStyle = palette.of(one.colour);
    context.fillStyle = palette.of(one.colour);
    context.lineWidth = one.width || 1.5;
    context.setLineDash(one.dash || []);
    if (one.low) paintBand(context, one, toX, toY);
    else if (one.ends) paintSteps(context, one, toX, toY);
    else polyline(context, one, toX, toY);
  }
  context.restore();
  return (x) => readLines(model, box, palette, Math.min(to, Math.max(from, linear(box.left, box.right, from, to)(x))), toX, toY);
}

function paintBand(context, { x, ends, y, low, alpha = 0.16 }, toX, toY) {
  context.globalAlpha = alpha;
  for (let i = 0; i < x.length; i += 1) {
    // On whole pixels: two pale edges over each other would show as a line.
    const [left, right, top] = [Math.round(toX(x[i])), Math.round(toX(ends[i])), toY(y[i])];
    context.fillRect(left, top, right - left, Math.max(1, toY(low[i]) - top));
  }
  context.globalAlpha = 1;
}

function paintSteps(context, { x, ends, y }, toX, toY) {
  context.beginPath();
  for (let i = 0; i < x.length; i += 1) {
    const joined = i > 0 && Math.abs(x[i] - ends[i - 1]) < 1e-3;
    if (joined) context.lineTo(toX(x[i]), toY(y[i]));
    else context.moveTo(toX(x[i]), toY(y[i]));
    context.lineTo(toX(ends[i]), toY(y[i]));
  }
  context.stroke();
}

/** What the series say at a moment, with a line there and a dot on each of them. */
function readLines(model, box, palette, moment, toX, toY) {
  const reach = Math.max((model.to - model.from) / 40, model.reach || 0);
  const found = [];
  for (const one of model.series) {
    const i = one.ends ? indexAt(one.x, moment) : nearest(one.x, moment, reach);
    if (i < 0 || (one.ends && moment >= one.ends[i]) || Number.isNaN(one.y[i])) continue;
    found.push({ one, i });
  }
  if (found.length === 0) return null;
  const line = found.find(({ one }) => !one.ends);
  const at = line ? line.one.x[line.i] : moment;
  const x = toX(at);
  const rows = found.flatMap(({ one, i }) => {
    const colour = palette.of(one.colour);
    if (!one.low) return [[one.name, model.format(one.y[i]), colour]];
    return [['max', model.format(one.y[i]), colour], ['min', model.format(one.low[i]), colour]];
  });
  const mark = (pen) => {
    const { context } = pen;
    context.strokeStyle = palette.muted;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.round(x) + 0.5, box.top);
    context.lineTo(Math.round(x) + 0.5, box.bottom);
    context.stroke();
    for (const { one, i } of found) if (!one.low) dot(pen, x, toY(one.y[i]), palette.of(one.colour));
  };
  return { x, title: model.heading(at), rows, mark };
}

/** Bars: `{bars: [{label, value, rows, title}], slots, colour, axis, scale}`, oldest first; they stand at
 *  the right of `slots` places, so that few are not wide. */
export function paintBars(pen, model) {
  const { context, palette, rem } = pen;
  const box = plotBox(pen);
  const values = model.bars.map(({ value }) => value).filter((value) => !Number.isNaN(value));
  model.scale.bounds = steady(model.scale.bounds, Math.min(0, ...values), Math.max(0, ...values));
  const toY = linear(...model.scale.bounds, box.bottom, box.top);
  paintValueAxis(pen, box, model.scale.bounds, toY, short);
  const slots = Math.max(model.slots, model.bars.length);
  const pitch = (box.right - box.left) / slots;
  const leftOf = (i) => box.left + (i + (model.align === 'left' ? 0 : slots - model.bars.length)) * pitch;
  const zero = toY(Math.max(0, model.scale.bounds[0]));
  context.fillStyle = palette.of(model.colour);
  model.bars.forEach(({ value }, i) => {
    if (Number.isNaN(value)) return;
    const y = toY(value);
    context.fillRect(leftOf(i) + pitch * 0.12, Math.min(y, zero), pitch * 0.76, Math.max(1, Math.abs(zero - y)));
  });
  paintBarLabels(pen, box, model.bars, leftOf, pitch);
  return (x) => {
    const i = model.bars.findIndex((_, i) => x >= leftOf(i) && x < leftOf(i) + pitch);
    if (i < 0) return null;
    const mark = () => {
      context.globalAlpha = 0.12;
      context.fillStyle = palette.text;
      context.fillRect(leftOf(i), box.top, pitch, box.bottom - box.top);
      context.globalAlpha = 1;
    };
    return { x: leftOf(i) + pitch / 2, title: model.bars[i].title, rows: model.bars[i].rows, mark };
  };
}

/** As many labels as have room, counted from the newest bar. */
function paintBarLabels({ context, palette, rem }, box, bars, leftOf, pitch) {
  context.textAlign = 'center';
  context.textBaseline = 'top';
  context.fillStyle = palette.muted;
  const widest = bars.reduce((most, { label }) => Math.max(most, context.measureText(label).width), 1);
  const every = Math.max(1, Math.ceil((widest + rem) / pitch));
  for (let i = bars.length - 1; i >= 0; i -= every) {
    const half = context.measureText(bars[i].label).width / 2;
    const x = Math.min(leftOf(i) + pitch / 2, box.right + rem * 0.6 - half);
    if (x - half >= 0) context.fillText(bars[i].label, x, box.bottom + rem * 0.4);
  }
}
