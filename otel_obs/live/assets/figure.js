// What every chart is: a figure that takes the focus, a cursor that arrow keys move and a live region reads, an
// interval that is marked, and a table of the same values, in which the cursor and the interval are too.

import { button, clock, element, number } from "./format.js";
import { say } from "./i18n.js";

const MOST_ROWS = 60;

/**
 * A kind of chart has `isDrawn()`, `columns()`, the names above its table's values, `cells(index)`, those values as
 * text, `reading(index)`, what is said of a point, `pointAt(index)`, which draws the cursor, and `totals(inside)`: of
 * the points of an interval `{texts, cells}`, what is said of it and what stands below each column's name.
 */
export class Figure {
  /** *hooks*: `zoom(from, to)`, `reset()`. */
  constructor(title, unit, hooks, keys) {
    this.title = title;
    this.unit = unit;
    this.hooks = hooks;
    this.times = [];
    this.at = null;
    this.mark = null;
    this.rows = new Map();
    this.plain = element("div", { class: "plot" });
    this.caption = element("figcaption", { textContent: title });
    this.readout = element("p", { class: "readout", hidden: true });
    this.table = element("div", {
      class: "values", hidden: true, tabindex: "0", role: "region", "aria-label": `${title}. ${say("tableKeys")}`,
      onkeydown: (event) => this.tableKey(event),
    });
    this.toggle = button("asTable", () => this.showTable(this.table.hidden), { class: "quiet", "aria-expanded": "false" });
    this.figure = element(
      "figure",
      { tabindex: "0", role: "group", "aria-label": `${title}. ${say(keys)}`, onkeydown: (event) => this.key(event) },
      element("div", { class: "head" }, this.caption, this.toggle),
      this.plain,
    );
    this.root = element("div", { class: "chart" }, this.figure, this.table);
  }

  /** Show what depends on the values, after they have changed. */
  renew() {
    if (this.at !== null && this.at >= this.times.length) this.at = null;
    if (this.mark) this.showMark();
    if (!this.table.hidden) this.fillTable();
  }

  key(event) {
    if (event.target !== this.figure) return;
    const last = this.times.length - 1;
    this.act(event, { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -last, End: last });
  }

  /** The newest row stands first. */
  tableKey(event) {
    if (event.target !== this.table) return;
    const last = this.times.length - 1;
    this.act(event, { ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: last, End: -last });
  }

  act(event, steps) {
    if (!this.isDrawn() || event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.times.length - 1;
    const now = this.at ?? last;
    if (event.key in steps) this.moveTo(Math.max(0, Math.min(last, now + steps[event.key])));
    else if (event.key === "m" || event.key === "M") this.markHere(now);
    else if (event.key === "Enter" && this.mark) this.zoom();
    else if (event.key === "Escape") this.escape();
    else return;
    event.preventDefault();
  }

  moveTo(index) {
    this.at = index;
    this.pointAt(index);
    this.showRow()?.scrollIntoView({ block: "nearest" });
    announce(`${clock(this.times[index])}: ${this.reading(index)}`);
  }

  /** Have the cursor be where the mouse is. */
  follow(index) {
    this.at = index ?? null;
    this.showRow();
  }

  /** Mark the row of the cursor in the table. */
  showRow() {
    for (const [index, row] of this.rows) {
      if (index === this.at) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    return this.rows.get(this.at);
  }

  markHere(index) {
    const time = this.times[index];
    if (this.begin === undefined) {
      this.begin = time;
      announce(say("marked", clock(time), "…"));
      return;
    }
    this.markFrom(this.begin, time);
  }

  markFrom(one, other) {
    this.mark = [Math.min(one, other), Math.max(one, other)];
    this.begin = undefined;
    this.showMark();
    if (!this.table.hidden) this.fillTable();
  }

  inside() {
    const [from, to] = this.mark;
    return this.times.map((time, index) => (time >= from && time <= to ? index : -1)).filter((index) => index >= 0);
  }

  showMark() {
    const text = [say("marked", ...this.mark.map(clock)), ...this.totals(this.inside()).texts].join(" · ");
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
    if (!this.table.hidden) this.fillTable();
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
    for (const name of this.columns()) header.append(element("th", { scope: "col", textContent: name }));
    const body = element("tbody");
    const marked = new Set(this.mark ? this.inside() : []);
    if (this.mark) body.append(this.totalRow([...marked]));
    this.rows.clear();
    for (let i = this.times.length - 1; i >= Math.max(0, this.times.length - MOST_ROWS); i -= 1) {
      const row = tableRow(clock(this.times[i]), this.cells(i));
      if (marked.has(i)) row.className = "marked";
      this.rows.set(i, row);
      body.append(row);
    }
    const caption = element("caption", { class: "hidden", textContent: this.title });
    this.table.replaceChildren(element("table", {}, caption, element("thead", {}, header), body));
    this.showRow();
  }

  totalRow(inside) {
    const row = tableRow([say("marked", ...this.mark.map(clock)), ...this.totals(inside).total].join(" · "), this.totals(inside).cells);
    row.className = "total";
    return row;
  }
}

function tableRow(head, cells) {
  const row = element("tr", {}, element("th", { scope: "row", textContent: head }));
  for (const text of cells) row.append(element("td", { textContent: text }));
  return row;
}

export function sumOf(values) {
  return values.reduce((sum, value) => sum + (Number.isFinite(value) ? value : 0), 0);
}

/** The total of increases at some points, as it is said. */
export function totalText(increases, inside) {
  return say("sum", number(Math.round(sumOf(inside.map((i) => increases[i])) * 1e6) / 1e6));
}

/** Say something to a screen reader. */
export function announce(text) {
  document.getElementById("said").textContent = text;
}
