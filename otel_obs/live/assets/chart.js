// A chart that is also there for the keyboard and for a screen reader: a figure that takes the focus, a cursor
// that arrow keys move and a live region reads, and a table of the same values.

import { button, clock, element, number } from "./format.js";
import { say } from "./i18n.js";

const MOST_ROWS = 60;
const charts = new Set();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function redrawAll() {
  for (const chart of charts) chart.rebuild();
}

export class Chart {
  /** *hooks*: `zoom(from, to)`, `reset()`. */
  constructor(title, unit, hooks, height = 180) {
    this.title = title;
    this.unit = unit;
    this.hooks = hooks;
    this.height = height;
    this.times = [];
    this.lines = [];
    this.sums = null;
    this.plot = null;
    this.shape = "";
    this.mark = null;
    this.plain = element("div", { class: "plot" });
    this.caption = element("figcaption", { textContent: title });
    this.legend = element("ul", { class: "legend" });
    this.readout = element("p", { class: "readout", hidden: true });
    this.table = element("div", { class: "values", hidden: true, tabindex: "0", role: "region", "aria-label": title });
    this.toggle = button("asTable", () => this.showTable(this.table.hidden), { class: "quiet", "aria-expanded": "false" });
    this.figure = element(
      "figure",
      { tabindex: "0", role: "group", "aria-label": `${title}. ${say("keys")}`, onkeydown: (event) => this.key(event) },
      element("div", { class: "head" }, this.caption, this.toggle),
      this.plain,
      this.legend,
      this.readout,
    );
    this.root = element("div", { class: "chart" }, this.figure, this.table);
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
    if (this.mark) this.showMark();
    else this.showLegend(this.plot?.cursor.idx ?? null);
    if (!this.table.hidden) this.fillTable();
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
        padding: [8, 8, 0, 0],
        cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        scales: { y: { range: (_, min, max) => [Math.min(0, min ?? 0), (max ?? 0) > 0 ? max * 1.08 : 1] } },
        axes: [
          { ...axis, values: (_, splits) => splits.map((s) => clock(s)), space: 80, size: 28 },
          { ...axis, values: (_, splits) => splits.map((s) => number(s, this.unit)), size: 72, space: 34 },
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
          setCursor: [(plot) => !this.mark && this.showLegend(plot.cursor.idx)],
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

  selected(plot) {
    if (plot.select.width < 4) return;
    this.mark = [plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.showMark();
  }

  showMark() {
    const [from, to] = this.mark;
    const parts = [say("marked", clock(from), clock(to))];
    const inside = this.times.map((time, index) => (time >= from && time <= to ? index : -1)).filter((i) => i >= 0);
    const known = (values) => inside.map((i) => values[i]).filter(Number.isFinite);
    const add = (values) => values.reduce((sum, value) => sum + value, 0);
    if (this.sums) parts.push(say("sum", number(add(known(this.sums)))));
    for (const line of this.lines.slice(0, 5)) {
      const values = known(line.values);
      if (values.length) parts.push(`${line.label}: ${say("mean", number(add(values) / values.length, this.unit))}`);
    }
    const text = parts.join(" · ");
    if (this.readout.dataset.text === text && !this.readout.hidden) return;
    this.readout.dataset.text = text;
    this.readout.hidden = false;
    this.readout.replaceChildren(
      element("span", { textContent: text }),
      button("zoom", () => this.zoom()),
      button("clear", () => this.clearMark()),
    );
    announce(text);
  }

  zoom() {
    const [from, to] = this.mark;
    this.clearMark();
    this.hooks.zoom(from, to);
  }

  clearMark() {
    this.mark = null;
    this.readout.hidden = true;
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

  key(event) {
    if (event.target !== this.figure || !this.plot || event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.times.length - 1;
    const now = this.plot.cursor.idx ?? last;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -last, End: last };
    if (event.key in steps) this.moveTo(Math.max(0, Math.min(last, now + steps[event.key])));
    else if (event.key === "m" || event.key === "M") this.markHere(now);
    else if (event.key === "Enter" && this.mark) this.zoom();
    else if (event.key === "Escape") this.escape();
    else return;
    event.preventDefault();
  }

  moveTo(index) {
    this.plot.setCursor({ left: this.plot.valToPos(this.times[index], "x"), top: 10 });
    const values = this.lines.map((line) => `${line.label} ${number(line.values[index], this.unit)}`);
    announce(`${clock(this.times[index])}: ${values.join(", ")}`);
  }

  markHere(index) {
    const time = this.times[index];
    if (this.begin === undefined) {
      this.begin = time;
      announce(say("marked", clock(time), "…"));
      return;
    }
    this.mark = [Math.min(this.begin, time), Math.max(this.begin, time)];
    this.begin = undefined;
    this.showMark();
  }

  escape() {
    this.begin = undefined;
    if (this.mark) this.clearMark();
    else this.hooks.reset();
  }

  showTable(isShown) {
    this.table.hidden = !isShown;
    this.toggle.textContent = say(isShown ? "hideTable" : "asTable");
    this.toggle.setAttribute("aria-expanded", String(isShown));
    if (isShown) this.fillTable();
  }

  fillTable() {
    const header = element("tr", {}, element("th", { scope: "col", textContent: say("time") }));
    for (const line of this.lines) header.append(element("th", { scope: "col", textContent: line.label }));
    const body = element("tbody");
    for (let i = this.times.length - 1; i >= Math.max(0, this.times.length - MOST_ROWS); i -= 1) {
      const row = element("tr", {}, element("th", { scope: "row", textContent: clock(this.times[i]) }));
      for (const line of this.lines) row.append(element("td", { textContent: number(line.values[i], this.unit) }));
      body.append(row);
    }
    const caption = element("caption", { class: "hidden", textContent: this.title });
    this.table.replaceChildren(element("table", {}, caption, element("thead", {}, header), body));
  }
}

/** Say something to a screen reader. */
export function announce(text) {
  document.getElementById("said").textContent = text;
}
