// A small canvas module: a chart is a canvas, a painter and the model that it shows. A painter is a
// function (pen, model) that draws and returns `read(x, y)`: what is under that point, or null. Lines,
// bands and bars are in plots.js, everything without axes is here.

import { colours } from './colours.js';
import { soon } from './frame.js';
import { linear, nearest } from './scale.js';
import { hideTip, showTip } from './tip.js';

export class Chart {
  #canvas;
  #paint;
  #model = null;
  #pointer = null;
  #size = { width: 0, height: 0 };
  #read = () => null;
  #task = () => this.#draw();

  constructor(canvas, paint) {
    this.#canvas = canvas;
    this.#paint = paint;
    new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      this.#size = { width, height };
      this.redraw();
    }).observe(canvas);
    canvas.addEventListener('pointermove', (event) => this.#point(event.offsetX, event.offsetY));
    canvas.addEventListener('pointerleave', () => this.#leave());
    canvas.addEventListener('blur', () => this.#leave());
    canvas.addEventListener('keydown', (event) => this.#step(event));
  }

  /** Shows a model from the next frame on. */
  show(model) {
    this.#model = model;
    this.redraw();
  }

  redraw() {
    soon(this.#task);
  }

  #point(x, y) {
    this.#pointer = { x, y };
    this.redraw();
  }

  #leave() {
    if (!this.#pointer) return;
    this.#pointer = null;
    hideTip(this.#canvas);
    this.redraw();
  }

  /** Arrow keys go where a pointer would. */
  #step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === 'Escape') this.#leave();
    if (!by) return;
    event.preventDefault();
    const { width, height } = this.#size;
    const from = this.#pointer || { x: width / 2, y: height / 2 };
    const x = from.x + by * Math.max(2, width / 100);
    this.#point(Math.min(width - 1, Math.max(0, x)), from.y);
  }

  #draw() {
    const { width, height } = this.#size;
    if (!this.#model || width === 0 || height === 0) return;
    const pen = this.#pen(width, height);
    this.#read = this.#paint(pen, this.#model);
    const found = this.#pointer && this.#read(this.#pointer.x, this.#pointer.y);
    if (found) {
      found.mark?.(pen);
      showTip(this.#canvas, found.x, found);
    } else if (this.#pointer) {
      hideTip(this.#canvas);
    }
  }

  /** A clean context in units of CSS pixels, with as many device pixels as the screen has. */
  #pen(width, height) {
    const canvas = this.#canvas;
    const ratio = window.devicePixelRatio || 1;
    const [deviceWidth, deviceHeight] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== deviceWidth || canvas.height !== deviceHeight) {
      canvas.width = deviceWidth;
      canvas.height = deviceHeight;
    }
    const context = canvas.getContext('2d');
    context.setTransform(deviceWidth / width, 0, 0, deviceHeight / height, 0, 0);
    context.clearRect(0, 0, width, height);
    const palette = colours();
    context.font = `${palette.rem * 0.75}px ${palette.font}`;
    context.lineJoin = 'round';
    context.lineWidth = 1;
    return { context, width, height, palette, rem: palette.rem };
  }
}

/** Draws a line through (x, y), in pieces where values are missing or further apart than `gap`; returns the pieces as
 *  [from, to) of indices. */
export function polyline(context, { x, y, gap = Infinity }, toX, toY) {
  const pieces = [];
  context.beginPath();
  for (let i = 0; i < x.length; i += 1) {
    if (Number.isNaN(y[i])) continue;
    const last = pieces.at(-1);
    if (last && x[i] - x[last[1] - 1] <= gap) {
      context.lineTo(toX(x[i]), toY(y[i]));
      last[1] = i + 1;
    } else {
      context.moveTo(toX(x[i]), toY(y[i]));
      pieces.push([i, i + 1]);
    }
  }
  context.stroke();
  return pieces;
}

/** A line without axes over a pale area: `{from, to, x, y, colour, gap, read(i)}`. */
export function paintSparkline(pen, model) {
  const { context, width, height, palette } = pen;
  const top = model.y.reduce((most, y) => (y > most ? y : most), 0);
  const toX = linear(model.from, model.to, 0, width - 1);
  const toY = linear(0, top || 1, height - 1.5, 3);
  const colour = palette.of(model.colour);
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  const pieces = polyline(context, model, toX, toY);
  context.fillStyle = colour;
  context.globalAlpha = 0.14;
  for (const [from, to] of pieces) {
    context.beginPath();
    context.moveTo(toX(model.x[from]), height);
    for (let i = from; i < to; i += 1) context.lineTo(toX(model.x[i]), toY(model.y[i]));
    context.lineTo(toX(model.x[to - 1]), height);
    context.fill();
  }
  context.globalAlpha = 1;
  return (x) => {
    const i = nearest(model.x, linear(0, width - 1, model.from, model.to)(x), model.gap);
    if (i < 0 || Number.isNaN(model.y[i])) return null;
    const [atX, atY] = [toX(model.x[i]), toY(model.y[i])];
    return { x: atX, ...model.read(i), mark: (pen) => dot(pen, atX, atY, colour) };
  };
}

/** A point that stands out from whatever is behind it. */
export function dot({ context, palette }, x, y, colour) {
  context.beginPath();
  context.arc(x, y, 3.5, 0, Math.PI * 2);
  context.fillStyle = colour;
  context.strokeStyle = palette.surface;
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
}

/** A ring of parts: `{parts: [{name, value, colour, rows}], centre, caption}`. */
export function paintDoughnut(pen, model) {
  const { context, width, height, palette, rem } = pen;
  const [cx, cy] = [width / 2, height / 2];
  const outer = Math.max(4, Math.min(cx, cy) - 2);
  const inner = outer * 0.68;
  const total = model.parts.reduce((sum, { value }) => sum + value, 0);
  const slices = [];
  let angle = 0;
  for (const part of model.parts) {
    const next = angle + (total > 0 ? (part.value / total) * Math.PI * 2 : 0);
    slices.push({ part, from: angle, to: next });
    angle = next;
  }
  if (total === 0) slice(pen, cx, cy, inner, outer, 0, Math.PI * 2, palette.line);
  slices.forEach(({ part, from, to }) => slice(pen, cx, cy, inner, outer, from, to, part.colour));
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillStyle = palette.text;
  context.font = `600 ${Math.min(rem * 1.4, inner * 0.42)}px ${palette.font}`;
  context.fillText(model.centre, cx, cy - rem * 0.35);
  context.fillStyle = palette.muted;
  context.font = `${rem * 0.75}px ${palette.font}`;
  context.fillText(model.caption, cx, cy + rem * 0.75);
  return (x, y) => {
    const distance = Math.hypot(x - cx, y - cy);
    if (distance > outer || distance < inner || total === 0) return null;
    const at = (Math.atan2(y - cy, x - cx) + Math.PI * 2.5) % (Math.PI * 2);
    const found = slices.find(({ from, to }) => at >= from && at < to);
    return found ? { x, title: found.part.name, rows: found.part.rows } : null;
  };
}

/** Part of a ring, clockwise from the top, with a thin gap to its neighbours. */
function slice({ context, palette }, cx, cy, inner, outer, from, to, colour) {
  if (to <= from) return;
  const turn = -Math.PI / 2;
  context.beginPath();
  context.arc(cx, cy, outer, from + turn, to + turn);
  context.arc(cx, cy, inner, to + turn, from + turn, true);
  context.closePath();
  context.fillStyle = colour;
  context.fill();
  context.strokeStyle = palette.surface;
  context.lineWidth = to - from < Math.PI * 2 ? 1.5 : 0;
  if (context.lineWidth > 0 && to - from < Math.PI * 2 - 1e-6) context.stroke();
}
