// How many observations fell where, over time: one column a point, one row a bucket.

import { Figure, totalText } from "./figure.js";
import { clock, element, number } from "./format.js";
import { say } from "./i18n.js";

const LEFT_PX = 72;
const BOTTOM_PX = 24;

export class Heatmap extends Figure {
  constructor(title, unit, hooks, height = 180) {
    super(title, unit, hooks, "heatKeys");
    this.height = height;
    this.row = null;
    this.dragged = null;
    this.bounds = [];
    this.rates = [];
    this.counts = [];
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.plain.append(this.canvas);
    this.values = element("p", { class: "readout" });
    this.figure.append(this.values, this.readout);
    this.canvas.addEventListener("mousedown", (event) => this.drag(event));
    this.canvas.addEventListener("mousemove", (event) => this.point(event));
    this.canvas.addEventListener("mouseup", (event) => this.drop(event));
    this.canvas.addEventListener("mouseleave", () => this.leave());
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.figure);
  }

  remove() {
    this.watcher.disconnect();
    this.root.remove();
  }

  set(times, heatmap) {
    this.times = times;
    this.bounds = heatmap?.bounds ?? [];
    this.rates = heatmap?.rows ?? [];
    this.counts = heatmap?.counts ?? [];
    if (this.row !== null && this.row >= this.bounds.length) this.row = null;
    this.renew();
    this.draw();
    this.tell();
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!width || !this.times) return;
    const scale = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * scale), Math.round(this.height * scale)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      Object.assign(this.canvas, { width: w, height: h });
      Object.assign(this.canvas.style, { width: `${width}px`, height: `${this.height}px` });
    }
    const paint = this.canvas.getContext("2d");
    paint.setTransform(scale, 0, 0, scale, 0, 0);
    paint.clearRect(0, 0, width, this.height);
    const style = getComputedStyle(document.documentElement);
    this.area = { width: width - LEFT_PX - 8, height: this.height - BOTTOM_PX };
    this.paintCells(paint, style.getPropertyValue("--heat").trim());
    this.interval(paint, style.getPropertyValue("--mark").trim(), style.getPropertyValue("--text").trim());
    this.axes(paint, style.getPropertyValue("--quiet").trim(), style.getPropertyValue("--line").trim());
  }

  paintCells(paint, heat) {
    const columns = this.times.length - 1;
    const rows = this.bounds.length;
    if (columns < 1 || !rows) return;
    let most = 0;
    for (const row of this.rates) for (const value of row) if (value > most) most = value;
    const wide = this.area.width / columns;
    const high = this.area.height / rows;
    paint.fillStyle = heat;
    this.rates.forEach((row, r) => {
      for (let i = 1; i <= columns; i += 1) {
        if (!(row[i] > 0)) continue;
        paint.globalAlpha = 0.12 + 0.88 * Math.sqrt(row[i] / most);
        paint.fillRect(LEFT_PX + (i - 1) * wide, this.area.height - (r + 1) * high, Math.ceil(wide), high - 1);
      }
    });
    paint.globalAlpha = 1;
  }

  axes(paint, quiet, line) {
    paint.fillStyle = quiet;
    paint.font = "12px system-ui";
    paint.textAlign = "right";
    paint.textBaseline = "middle";
    const rows = this.bounds.length;
    const high = this.area.height / Math.max(1, rows);
    const every = Math.ceil(16 / high);
    this.bounds.forEach((bound, r) => {
      if (r % every === 0) paint.fillText(`≤ ${number(bound, this.unit)}`, LEFT_PX - 8, this.area.height - (r + 0.5) * high);
    });
    paint.textBaseline = "top";
    paint.textAlign = "center";
    const ticks = Math.max(1, Math.floor(this.area.width / 110));
    for (let i = 1; i < ticks; i += 1) {
      const index = Math.round((i * (this.times.length - 1)) / ticks);
      if (this.times[index]) paint.fillText(clock(this.times[index]), LEFT_PX + (i * this.area.width) / ticks, this.area.height + 8);
    }
    if (this.at === null) return;
    paint.fillStyle = line;
    paint.fillRect(this.place(this.at), 0, 2, this.area.height);
    if (this.row === null) return;
    paint.strokeStyle = quiet;
    const wide = this.area.width / Math.max(1, this.times.length - 1);
    paint.strokeRect(this.place(this.at) - wide / 2, this.area.height - (this.row + 1) * high, Math.max(wide, 3), high - 1);
  }

  /** The interval that is marked, or that the mouse is marking. */
  interval(paint, fill, edge) {
    const points = this.mark ? this.inside() : this.dragged === null || this.at === null ? [] : [this.dragged, this.at];
    if (!points.length) return;
    const half = this.area.width / Math.max(1, this.times.length - 1) / 2;
    const first = Math.max(LEFT_PX, this.place(Math.min(...points)) - half);
    const wide = this.place(Math.max(...points)) + half - first;
    paint.fillStyle = fill;
    paint.fillRect(first, 0, wide, this.area.height);
    paint.strokeStyle = edge;
    paint.strokeRect(first, 0.5, wide, this.area.height - 1);
  }

  place(index) {
    return LEFT_PX + ((index - 0.5) * this.area.width) / Math.max(1, this.times.length - 1);
  }

  /** The column and the row under the mouse; none of them beside the cells. */
  under(event) {
    if (!this.area) return [null, null];
    const x = event.offsetX - LEFT_PX;
    const index = Math.ceil((x / this.area.width) * (this.times.length - 1));
    const row = Math.floor(((this.area.height - event.offsetY) / this.area.height) * this.bounds.length);
    if (x < 0 || index < 1 || index >= this.times.length) return [null, null];
    return [index, row >= 0 && row < this.bounds.length ? row : null];
  }

  drag(event) {
    [this.dragged] = this.under(event);
    event.preventDefault();
    this.figure.focus({ preventScroll: true });
  }

  point(event) {
    const [index, row] = this.under(event);
    this.row = row;
    this.follow(index);
    this.draw();
    this.tell();
  }

  drop(event) {
    const [index] = this.under(event);
    const from = this.dragged;
    this.dragged = null;
    if (from !== null && index !== null && from !== index) this.markFrom(this.times[from], this.times[index]);
    this.draw();
  }

  leave() {
    this.dragged = this.row = null;
    this.follow(null);
    this.draw();
    this.tell();
  }

  isDrawn() {
    return this.bounds.length > 0 && this.times.length > 1;
  }

  /** Up and down move between buckets, all else is as in every chart. */
  key(event) {
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (event.target !== this.figure || !step || !this.isDrawn() || event.ctrlKey || event.altKey || event.metaKey) {
      super.key(event);
      return;
    }
    const from = this.row ?? (step > 0 ? -1 : this.bounds.length);
    this.row = Math.max(0, Math.min(this.bounds.length - 1, from + step));
    this.moveTo(this.at ?? this.times.length - 1);
    event.preventDefault();
  }

  pointAt() {
    this.draw();
    this.tell();
  }

  clearMark() {
    super.clearMark();
    this.draw();
  }

  showMark() {
    super.showMark();
    this.draw();
  }

  columns() {
    return this.bounds.map((bound) => this.name(bound));
  }

  cells(index) {
    return this.rates.map((row) => number(row[index]));
  }

  name(bound) {
    return `≤ ${number(bound, this.unit)}`;
  }

  reading(index) {
    if (this.row !== null) return `${this.name(this.bounds[this.row])}: ${number(this.rates[this.row]?.[index])}`;
    const parts = this.bounds.map((bound, r) => [bound, this.rates[r]?.[index]]).filter(([, value]) => value > 0);
    return parts.map(([bound, value]) => `${this.name(bound)}: ${number(value)}`).join(" · ") || say("nothing");
  }

  totals(inside) {
    const all = this.times.map((_, i) => this.counts.reduce((sum, row) => sum + (Number.isFinite(row[i]) ? row[i] : 0), 0));
    const total = [totalText(all, inside)];
    const cells = this.counts.map((row) => totalText(row, inside));
    const said = this.row === null ? [] : [`${this.name(this.bounds[this.row])}: ${cells[this.row]}`];
    return { total, texts: [...total, ...said], cells };
  }

  tell() {
    const at = this.at ?? this.times.length - 1;
    const text = this.times[at] ? `${clock(this.times[at])}  ${this.reading(at)}` : say("nothing");
    if (this.values.textContent !== text) this.values.textContent = text;
  }
}
