// A chart of lines over time, which uPlot draws.

import { clock, element, number } from "./format.js";
import { Figure, totalText } from "./figure.js";
import { say } from "./i18n.js";

const charts = new Set();
// Steps of an axis in bytes: whole numbers of KiB, MiB and GiB, as its labels are.
const BINARY = Array.from({ length: 51 }, (_, power) => 2 ** power);

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function redrawAll() {
  for (const chart of charts) chart.rebuild();
}

export class Chart extends Figure {
  constructor(title, unit, hooks, height = 180) {
    super(title, unit, hooks, "keys");
    this.height = height;
    this.lines = [];
    this.sums = null;
    this.plot = null;
    this.shape = "";
    this.legend = element("ul", { class: "legend" });
    this.figure.append(this.legend, this.readout);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.plain);
    charts.add(this);
  }

  remove() {
    this.watcher.disconnect();
    this.plot?.destroy();
    charts.delete(this);
    this.root.remove();
  }

  /** *lines*: [{label, values}]; *sums* are increases, to add up over a marked interval. */
  set(times, lines, sums = null) {
    this.times = times;
    this.lines = lines;
    this.sums = sums;
    const shape = lines.map((line) => line.label).join("\n");
    if (shape !== this.shape || !this.plot) {
      this.shape = shape;
      this.rebuild();
    } else this.plot.setData(this.data());
    this.renew();
    if (!this.mark) this.showLegend(this.plot?.cursor.idx ?? null);
  }

  data() {
    const gap = (values) => Array.from(values, (value) => (Number.isFinite(value) ? value : null));
    return [this.times, ...this.lines.map((line) => gap(line.values))];
  }

  rebuild() {
    this.plot?.destroy();
    this.plot = null;
    this.plain.replaceChildren();
    if (!this.lines.length || !this.plain.clientWidth) {
      if (!this.lines.length) this.plain.append(element("p", { class: "empty", textContent: say("nothing") }));
      return;
    }
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    this.plot = new uPlot(
      {
        width: this.plain.clientWidth,
        height: this.height,
        legend: { show: false },
        // The last label of the time stands half beyond the last point.
        padding: [8, 28, 0, 0],
        cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        scales: { y: { range: (_, min, max) => [Math.min(0, min ?? 0), (max ?? 0) > 0 ? max * 1.08 : 1] } },
        axes: [
          { ...axis, values: (_, splits) => splits.map((s) => clock(s)), space: 80, size: 28 },
          { ...axis, ...(this.unit === "bytes" ? { incrs: BINARY } : {}), values: (_, splits) => splits.map((s) => number(s, this.unit)), size: 72, space: 34 },
        ],
        series: [
          {},
          ...this.lines.map((line, index) => ({
            label: line.label,
            stroke: colour(`--series-${(line.colour ?? index) % 10}`),
            width: 1.75,
            dash: index > 9 ? [6, 4] : undefined,
            points: { show: false },
            spanGaps: false,
          })),
        ],
        hooks: {
          setCursor: [(plot) => this.pointed(plot.cursor.idx)],
          setSelect: [(plot) => this.selected(plot)],
        },
      },
      this.data(),
      this.plain,
    );
    this.plain.querySelector("canvas").setAttribute("aria-hidden", "true");
    this.showLegend(null);
  }

  resize() {
    if (this.plot) this.plot.setSize({ width: this.plain.clientWidth, height: this.height });
    else if (this.lines.length) this.rebuild();
  }

  pointed(index) {
    this.follow(index);
    if (!this.mark) this.showLegend(index);
  }

  selected(plot) {
    if (plot.select.width < 4) return;
    const [from, to] = [0, plot.select.width].map((width) => plot.posToVal(plot.select.left + width, "x"));
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.markFrom(from, to);
  }

  showLegend(index) {
    const at = index ?? this.times.length - 1;
    const texts = this.lines.map((line) => [line.label, number(line.values[at], this.unit)]);
    if (this.legend.dataset.shape !== this.shape) {
      this.legend.dataset.shape = this.shape;
      this.legend.replaceChildren(
        ...this.lines.map((line, i) => element("li", {}, element("i", { class: `swatch s${(line.colour ?? i) % 10}` }), element("span"), element("b"))),
      );
    }
    texts.forEach(([label, value], i) => {
      const [, name, amount] = this.legend.children[i].children;
      if (name.textContent !== label) name.textContent = label;
      if (amount.textContent !== value) amount.textContent = value;
    });
    this.caption.textContent = index === null || index === undefined ? this.title : `${this.title} · ${clock(this.times[index])}`;
  }

  isDrawn() {
    return Boolean(this.plot);
  }

  columns() {
    return this.lines.map((line) => line.label);
  }

  cells(index) {
    return this.lines.map((line) => number(line.values[index], this.unit));
  }

  reading(index) {
    return this.lines.map((line) => `${line.label} ${number(line.values[index], this.unit)}`).join(", ");
  }

  pointAt(index) {
    this.plot.setCursor({ left: this.plot.valToPos(this.times[index], "x"), top: 10 });
  }

  totals(inside) {
    const means = this.lines.map((line) => {
      const values = inside.map((i) => line.values[i]).filter(Number.isFinite);
      return values.length ? say("mean", number(values.reduce((sum, value) => sum + value, 0) / values.length, this.unit)) : "–";
    });
    const total = this.sums ? [totalText(this.sums, inside)] : [];
    const said = this.lines.map((line, i) => `${line.label}: ${means[i]}`).filter((_, i) => means[i] !== "–");
    return { total, texts: [...total, ...said.slice(0, 5)], cells: means };
  }
}
