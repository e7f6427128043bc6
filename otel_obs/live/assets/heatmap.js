// How many observations fell where, over time: one column a point, one row a bucket.

import { announce } from "./chart.js";
import { clock, element, number } from "./format.js";
import { say } from "./i18n.js";

const LEFT_PX = 72;
const BOTTOM_PX = 24;

export class Heatmap {
  constructor(title, unit, height = 180) {
    this.title = title;
    this.unit = unit;
    this.height = height;
    this.cursor = null;
    this.caption = element("figcaption", { textContent: title });
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.readout = element("p", { class: "readout" });
    this.figure = element(
      "figure",
      { tabindex: "0", role: "group", "aria-label": title, onkeydown: (event) => this.key(event) },
      element("div", { class: "head" }, this.caption),
      element("div", { class: "plot" }, this.canvas),
      this.readout,
    );
    this.canvas.addEventListener("mousemove", (event) => this.point(event));
    this.canvas.addEventListener("mouseleave", () => this.moveTo(null));
    this.root = element("div", { class: "chart" }, this.figure);
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.figure);
  }

  set(times, heatmap) {
    this.times = times;
    this.bounds = heatmap?.bounds ?? [];
    this.rows = heatmap?.rows ?? [];
    this.draw();
    this.tell(false);
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
    this.cells(paint, style.getPropertyValue("--heat").trim());
    this.axes(paint, style.getPropertyValue("--quiet").trim(), style.getPropertyValue("--line").trim());
  }

  cells(paint, heat) {
    const columns = this.times.length - 1;
    const rows = this.bounds.length;
    if (columns < 1 || !rows) return;
    let most = 0;
    for (const row of this.rows) for (const value of row) if (value > most) most = value;
    const wide = this.area.width / columns;
    const high = this.area.height / rows;
    paint.fillStyle = heat;
    this.rows.forEach((row, r) => {
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
    if (this.cursor === null) return;
    paint.fillStyle = line;
    const x = LEFT_PX + ((this.cursor - 0.5) * this.area.width) / Math.max(1, this.times.length - 1);
    paint.fillRect(x, 0, 2, this.area.height);
  }

  point(event) {
    const x = event.offsetX - LEFT_PX;
    const index = Math.ceil((x / this.area.width) * (this.times.length - 1));
    this.moveTo(x < 0 || index < 1 || index >= this.times.length ? null : index);
  }

  moveTo(index) {
    this.cursor = index;
    this.draw();
    this.tell(false);
  }

  tell(aloud) {
    const at = this.cursor ?? this.times.length - 1;
    const parts = this.bounds.map((bound, r) => [bound, this.rows[r]?.[at]]).filter(([, value]) => value > 0);
    const text = parts.map(([bound, value]) => `≤ ${number(bound, this.unit)}: ${number(value)}`).join(" · ");
    const full = this.times[at] ? `${clock(this.times[at])}  ${text || say("nothing")}` : say("nothing");
    if (this.readout.textContent !== full) this.readout.textContent = full;
    if (aloud) announce(full);
  }

  key(event) {
    const last = this.times.length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -last, End: last };
    if (!(event.key in steps)) return;
    this.cursor = Math.max(1, Math.min(last, (this.cursor ?? last) + steps[event.key]));
    this.draw();
    this.tell(true);
    event.preventDefault();
  }
}
