// What each tab shows. A view has `root`, `questions()` for the worker, and `show(answers)`.

import { Chart } from "./chart.js";
import { announce } from "./figure.js";
import { button, clock, element, exact, fill, number } from "./format.js";
import { Heatmap } from "./heatmap.js";
import { say } from "./i18n.js";

export class Overview {
  constructor(page) {
    this.page = page;
    this.tiles = ["rate", "errorShare", "p50", "p95", "p99", "inProgress"].map((key) => element("dd", { textContent: "–" }));
    const titles = [say("rate"), say("errorShare"), "p50", "p95", "p99", say("inProgress")];
    const tiles = element("dl", { class: "tiles" });
    titles.forEach((title, i) => tiles.append(element("div", { class: "tile" }, element("dt", { textContent: title }), this.tiles[i])));
    this.rate = new Chart(say("rate"), "", page.hooks);
    this.errors = new Chart(say("errors"), "percent", page.hooks);
    this.latency = new Chart(say("latency"), "seconds", page.hooks);
    this.heat = new Heatmap(say("heatmap"), "seconds", page.hooks);
    this.chosen = element("div", { class: "chips", hidden: true });
    this.empty = element("p", { class: "empty", hidden: true, textContent: say("noRequests") });
    this.body = element("div", { class: "grid" }, this.rate.root, this.latency.root, this.errors.root, this.heat.root);
    this.events = element("ol", { class: "events", tabindex: "0" });
    this.root = element("section", {}, element("h2", { textContent: say("overview") }), this.chosen, tiles, this.empty, this.body,
      element("h2", { textContent: say("events") }), element("div", { class: "card" }, this.events));
    this.charts = [this.rate, this.errors, this.latency, this.heat];
  }

  questions() {
    return { http: { question: "overview", chosen: this.page.chosen, compared: [] } };
  }

  show({ http }, status) {
    this.empty.hidden = http.has;
    this.body.hidden = !http.has;
    this.showChosen();
    this.showEvents(status.events);
    if (!http.has) return;
    this.rate.set(http.times, http.rates, http.increases);
    this.errors.set(http.times, http.errors);
    this.latency.set(http.times, http.latency);
    this.heat.set(http.times, http.heatmap);
    const last = (line) => line?.values[line.values.length - 1];
    const all = http.rates.reduce((sum, line) => sum + (last(line) || 0), 0);
    const texts = [number(all), number(last(http.errors[0]), "percent"), ...[0, 1, 2].map((i) => number(last(http.latency[i]), "seconds")), number(http.inProgress)];
    texts.forEach((text, i) => (this.tiles[i].textContent = text));
  }

  showChosen() {
    const { where } = this.page.chosen;
    this.chosen.hidden = !where;
    if (!where || this.chosen.dataset.where === where) return;
    this.chosen.dataset.where = where;
    this.chosen.replaceChildren(element("span", { textContent: say("endpointFilter", where) }), button("clear", () => this.page.choose({})));
  }

  showEvents(events) {
    const text = events.map((e) => `${e.time}${e.kind}${e.what}`).join();
    if (this.events.dataset.text === text && this.events.children.length) return;
    this.events.dataset.text = text;
    const items = events.map((e) => element("li", {}, element("time", { textContent: clock(e.time) }), say(`${e.kind}_e`, e.what)));
    this.events.replaceChildren(...(items.length ? items : [element("li", { textContent: say("nothing") })]));
  }
}

const COLUMNS = ["where", "rate", "errors", "p50", "p95", "p99", "total"];

export class Endpoints {
  constructor(page) {
    this.page = page;
    this.compared = new Set();
    this.sort = { column: "rate", down: true };
    this.rates = new Chart(say("comparedRate"), "", page.hooks);
    this.latencies = new Chart(say("comparedLatency"), "seconds", page.hooks);
    this.charts = [this.rates, this.latencies];
    this.both = element("div", { class: "grid", hidden: true }, this.rates.root, this.latencies.root);
    this.body = element("tbody");
    const names = { where: say("endpoint"), rate: say("perSecond"), errors: say("errorShare"), total: say("total") };
    this.heads = COLUMNS.map((column) => {
      const sort = element("button", { type: "button", class: "link", textContent: names[column] ?? column, onclick: () => this.sortBy(column) });
      return element("th", { scope: "col" }, sort);
    });
    const head = element("tr", {}, ...this.heads, element("th", { scope: "col", textContent: say("compare") }));
    const table = element("table", { class: "even" }, element("caption", { class: "hidden", textContent: say("endpoints") }), element("thead", {}, head), this.body);
    const scroll = element("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": say("endpoints") }, table);
    this.root = element("section", {}, element("h2", { textContent: say("endpoints") }), this.both, element("div", { class: "card" }, scroll));
    this.markSort();
  }

  questions() {
    return { http: { question: "overview", chosen: {}, compared: [...this.compared] } };
  }

  sortBy(column) {
    this.sort = { column, down: this.sort.column === column ? !this.sort.down : column !== "where" };
    this.markSort();
    if (this.rows) this.showRows(this.rows);
  }

  markSort() {
    this.heads.forEach((head, i) => {
      const order = this.sort.column === COLUMNS[i] ? (this.sort.down ? "descending" : "ascending") : "none";
      head.setAttribute("aria-sort", order);
    });
  }

  show({ http }) {
    if (!http.has) return;
    this.showRows(http.rows);
    this.both.hidden = !this.compared.size;
    this.rates.set(http.times, http.compared.map(({ label, rate }) => ({ label, values: rate })));
    this.latencies.set(http.times, http.compared.map(({ label, p95 }) => ({ label, values: p95 })));
  }

  showRows(rows) {
    this.rows = rows;
    const { column, down } = this.sort;
    const rank = (value) => (typeof value === "number" && Number.isNaN(value) ? -Infinity : value);
    const sorted = [...rows].sort((a, b) => {
      const [x, y] = [rank(a[column]), rank(b[column])];
      return (x < y ? -1 : x > y ? 1 : a.where < b.where ? -1 : 1) * (down ? -1 : 1);
    });
    const lines = sorted.map((row) => ({
      key: row.where,
      texts: [number(row.rate), number(row.errors, "percent"), ...["p50", "p95", "p99"].map((q) => number(row[q], "seconds")), number(row.total)],
    }));
    fill(this.body, lines, (line, { key }) => {
      const open = element("button", { type: "button", class: "link", textContent: key, onclick: () => this.page.choose({ where: key }) });
      line.append(element("th", { scope: "row" }, open));
      for (let i = 0; i < 6; i += 1) line.append(element("td", { "data-cell": "" }));
      const check = element("input", { type: "checkbox", "aria-label": `${say("compare")}: ${key}`, onchange: () => this.compare(key, check) });
      line.append(element("td", {}, check));
    });
  }

  compare(where, check) {
    if (check.checked && this.compared.size >= 8) check.checked = false;
    else if (check.checked) this.compared.add(where);
    else this.compared.delete(where);
    this.page.refresh();
  }
}

export class Workers {
  constructor(page) {
    this.memory = new Chart(say("memory"), "bytes", page.hooks);
    this.charts = [this.memory];
    this.body = element("tbody");
    const head = element("tr", {}, ...["worker", "state", "age", "memory", "cpu", "threads", "files"].map((key) => element("th", { scope: "col", textContent: say(key) })));
    this.empty = element("p", { class: "empty", textContent: say("noWorkers") });
    const table = element("table", {}, element("caption", { class: "hidden", textContent: say("workers") }), element("thead", {}, head), this.body);
    this.card = element("div", { class: "card" }, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("workers") }, table));
    this.root = element("section", {}, element("h2", { textContent: say("workers") }), this.empty, this.card, element("h2", { textContent: say("memory") }), this.memory.root);
  }

  questions() {
    return { workers: { question: "workers" } };
  }

  show({ workers }, status) {
    this.empty.hidden = workers.rows.length > 0;
    this.card.hidden = !workers.rows.length;
    const many = status.targets.length > 1;
    const rows = workers.rows.sort((a, b) => b.isLive - a.isLive || a.start_time_seconds - b.start_time_seconds);
    const lines = rows.map((row) => ({
      key: `${row.target} ${row.worker} ${row.isLive}`,
      texts: [many ? `${row.target} ${row.worker}` : row.worker, say(row.isLive ? "alive" : "gone"), row.isLive ? number(status.now - row.start_time_seconds, "seconds") : "–",
        number(row.memory_bytes, "bytes"), number(row.cpu_percent, "percent"), number(row.threads), number(row.open_fds)],
      isLive: row.isLive,
    }));
    fill(this.body, lines, (line, row) => {
      if (!row.isLive) line.className = "gone";
      line.append(element("th", { scope: "row", "data-cell": "" }));
      for (let i = 0; i < 6; i += 1) line.append(element("td", { "data-cell": "" }));
    });
    this.memory.set(workers.times, rows.filter((row) => row.memory).slice(0, 10).map((row) => ({ label: row.worker, values: row.memory })));
  }
}

const TRACE_ID = /^[\w-]{1,128}$/;

/** Where a trace is shown; "" for what is no id, or where the address is none of the web. */
export function traceAddress(template, trace) {
  if (!template || !TRACE_ID.test(trace)) return "";
  try {
    const address = new URL(template.replaceAll("{trace_id}", trace));
    return ["http:", "https:"].includes(address.protocol) ? address.href : "";
  } catch {
    return "";
  }
}

/** Copy a text; where the browser forbids that, have it be selected. */
async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return "copied";
  } catch {
    getSelection().selectAllChildren(place);
    return "selected";
  }
}

export class Exemplars {
  constructor(page) {
    this.page = page;
    this.charts = [];
    this.body = element("tbody");
    this.empty = element("p", { class: "empty", textContent: say("noExemplars") });
    const head = element("tr", {}, ...["time", "metric", "value", "trace", "copy"].map((key) => element("th", { scope: "col", class: "text", textContent: say(key) })));
    const table = element("table", {}, element("caption", { class: "hidden", textContent: say("exemplars") }), element("thead", {}, head), this.body);
    this.card = element("div", { class: "card" }, element("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": say("exemplars") }, table));
    this.root = element("section", {}, element("h2", { textContent: say("exemplars") }), this.empty, this.card);
  }

  questions() {
    return { exemplars: { question: "exemplars" } };
  }

  show({ exemplars }) {
    this.empty.hidden = exemplars.rows.length > 0;
    this.card.hidden = !exemplars.rows.length;
    const lines = exemplars.rows.map((row) => ({
      key: JSON.stringify([row.family, row.labels, row.all, row.time, row.value]),
      texts: [row.time ? clock(row.time) : "–", `${row.family} ${row.labels.map(([k, v]) => `${k}=${v}`).join(", ")}`, exact(row.value),
        row.trace || row.all.map(([k, v]) => `${k}=${v}`).join(", ")],
      trace: row.trace,
    }));
    fill(this.body, lines, (line, row) => this.makeRow(line, row));
  }

  makeRow(line, { texts, trace }) {
    for (let i = 0; i < 3; i += 1) line.append(element("td", { class: "text", "data-cell": "" }));
    const href = traceAddress(this.page.traces, trace);
    const shown = href
      ? element("a", { href, target: "_blank", rel: "noopener noreferrer", "aria-label": say("openTrace", trace), "data-cell": "" })
      : element("span", { "data-cell": "" });
    const take = button("copy", async () => {
      const key = await copy(texts[3], shown);
      take.textContent = say(key);
      announce(say(key));
    }, { "aria-label": `${say("copy")}: ${texts[3]}` });
    line.append(element("td", { class: "text trace" }, shown), element("td", {}, take));
  }
}
