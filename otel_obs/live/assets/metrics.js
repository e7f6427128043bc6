// Any metric: a search, one family opened, pinned families, and families by group.

import { Chart } from "./chart.js";
import { button, element, exact, fill } from "./format.js";
import { say } from "./i18n.js";

const GROUPS = [
  ["model", /(^|_)(predictions|inference|preprocessing|model)_/], ["cache", /(^|_)cache_/], ["llm", /(^|_)(llm|gen_ai|api_key)_/],
  ["dialogue", /(^|_)dialogue_/], ["retrieval", /(^|_)(retrieval|scoring|evidence|active_evidence)(_|$)/], ["agents", /(^|_)(agent|workflows?|context)_/],
  ["database", /(^|_)db_/], ["detection", /(^|_)detection_/], ["faults", /(^|_)errors_total$/], ["websocket", /(^|_)websocket_/],
  ["runtime", /^(process|python|system|event_loop)_/],
];

function unitFor(family) {
  if (family.type === "counter") return "";
  return family.unit;
}

/** One family: its chart, its series, and what can be done with it. */
export class Family {
  constructor(page, name, isOpen) {
    this.page = page;
    this.name = name;
    this.isOpen = isOpen;
    this.filter = {};
    this.chart = null;
    this.charts = [];
    this.root = element("section", { class: isOpen ? "card" : "" });
    this.chips = element("div", { class: "chips" });
    this.body = element("tbody");
    this.more = element("p", { class: "quiet-text" });
  }

  question() {
    return { question: "family", name: this.name, filter: this.filter };
  }

  show(answer) {
    if (!answer.has) return;
    if (!this.chart) this.build(answer);
    this.chart.set(answer.times, answer.lines, answer.all);
    if (!this.isOpen) return;
    const lines = answer.series.map((series) => ({
      key: `${series.name}\n${series.labels.join("\n")}`,
      texts: [exact(series.value)],
      series,
    }));
    fill(this.body, lines, (line, { series }) => this.makeRow(line, series));
    this.more.textContent = answer.count > lines.length ? say("more", answer.count - lines.length) : "";
  }

  build(answer) {
    this.chart = new Chart(answer.name, unitFor(answer), this.page.hooks);
    this.charts = [this.chart];
    const isPinned = this.page.pinned.includes(this.name);
    const pin = button(isPinned ? "unpin" : "pin", () => {
      this.page.pin(this.name);
      pin.textContent = say(this.page.pinned.includes(this.name) ? "unpin" : "pin");
    }, { class: "quiet", "aria-label": `${say("pin")}: ${this.name}` });
    if (!this.isOpen) {
      this.chart.figure.querySelector(".head").append(pin);
      this.root.append(this.chart.root);
      return;
    }
    const head = element("tr", {}, ...["labels", "value"].map((key) => element("th", { scope: "col", textContent: say(key) })));
    const table = element("table", {}, element("caption", { class: "hidden", textContent: say("series") }), element("thead", {}, head), this.body);
    const close = button("close", () => this.page.open(null), { class: "quiet" });
    const facts = [answer.type, answer.unit || "–", `${say("series")}: ${answer.count}`].join(" · ");
    this.root.append(
      element("div", { class: "head" }, element("h3", { textContent: answer.name }), element("div", { class: "chips" }, pin, close)),
      element("p", { class: "help", textContent: `${answer.help} (${facts})` }),
      this.chips,
      this.chart.root,
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("series") }, table),
      this.more,
    );
  }

  makeRow(line, series) {
    const chips = [element("span", { class: "quiet-text", textContent: series.name === this.name ? "" : series.name })];
    for (const [label, value] of series.labels) {
      const onclick = () => this.setFilter({ ...this.filter, [label]: value });
      chips.push(element("button", { type: "button", class: "chip", textContent: `${label}=${value}`, onclick }));
    }
    line.append(element("td", { class: "labels" }, ...chips), element("td", { "data-cell": "", class: "value" }));
  }

  setFilter(filter) {
    this.filter = filter;
    const chosen = Object.entries(filter).map(([label, value]) => element("span", { class: "chip", textContent: `${label}=${value}` }));
    this.chips.replaceChildren(...(chosen.length ? [element("span", { textContent: say("filter") }), ...chosen, button("clear", () => this.setFilter({}))] : []));
    this.page.refresh();
  }

  remove() {
    this.chart?.remove();
    this.root.remove();
  }
}

/** All families, with a search; one may be open. */
export class Metrics {
  constructor(page) {
    this.page = page;
    this.opened = null;
    this.search = element("input", { type: "search", "aria-label": say("search"), placeholder: say("search"), oninput: () => page.refresh() });
    this.place = element("div");
    this.body = element("tbody");
    this.more = element("p", { class: "quiet-text" });
    const head = element("tr", {}, ...["metric", "type", "unit", "labels", "series", "value"].map((key, i) =>
      element("th", { scope: "col", class: ["", "short", "short", "text"][i] ?? "", textContent: say(key) })));
    const table = element("table", {}, element("caption", { class: "hidden", textContent: say("metrics") }), element("thead", {}, head), this.body);
    this.root = element("section", {}, element("h2", { textContent: say("metrics") }), element("div", { class: "bar" }, this.search), this.place,
      element("div", { class: "card" }, element("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": say("metrics") }, table), this.more));
  }

  get charts() {
    return this.opened?.charts ?? [];
  }

  open(name) {
    this.opened?.remove();
    this.opened = name ? new Family(this.page, name, true) : null;
    if (this.opened) this.place.append(this.opened.root);
    this.page.refresh();
    if (name) window.scrollTo({ top: 0 });
  }

  questions() {
    const asked = { families: { question: "families", search: this.search.value, pinned: [] } };
    if (this.opened) asked.opened = this.opened.question();
    return asked;
  }

  show({ families, opened }) {
    if (opened && this.opened && opened.name === this.opened.name) this.opened.show(opened);
    const lines = families.rows.map((row) => ({
      key: row.name,
      texts: [row.type, row.unit, row.labels.join(", "), String(row.count), row.value === null ? "–" : exact(row.value)],
      help: row.help,
    }));
    fill(this.body, lines, (line, { key, help }) => {
      const open = element("button", { type: "button", class: "link", textContent: key, title: help, onclick: () => this.open(key) });
      line.append(element("th", { scope: "row" }, open));
      for (let i = 0; i < 5; i += 1) line.append(element("td", { "data-cell": "", class: ["short", "short", "text"][i] ?? "value" }));
    });
    this.more.textContent = families.count > lines.length ? say("more", families.count - lines.length) : "";
  }
}

/** Families that were chosen: pinned ones, or those of one group. */
export class Gallery {
  constructor(page, title, names) {
    this.page = page;
    this.names = names;
    this.families = new Map();
    this.grid = element("div", { class: "grid" });
    this.empty = element("p", { class: "empty", textContent: say("nothing") });
    this.root = element("section", {}, element("h2", { textContent: title }), this.empty, this.grid);
  }

  get charts() {
    return [...this.families.values()].flatMap((family) => family.charts);
  }

  questions() {
    const names = this.names();
    for (const name of names) {
      if (this.families.has(name)) continue;
      const family = new Family(this.page, name, false);
      this.families.set(name, family);
      this.grid.append(family.root);
    }
    for (const [name, family] of this.families) {
      if (names.includes(name)) continue;
      family.remove();
      this.families.delete(name);
    }
    this.empty.hidden = names.length > 0;
    return Object.fromEntries(names.map((name) => [`family:${name}`, this.families.get(name).question()]));
  }

  show(answers) {
    for (const [name, family] of this.families) {
      const answer = answers[`family:${name}`];
      if (answer) family.show(answer);
    }
  }
}

/** The names of a group's families, by group; only groups that have any. */
export function groupsOf(names) {
  const found = new Map();
  for (const name of names) {
    const group = GROUPS.find(([, pattern]) => pattern.test(name))?.[0];
    if (!group || name.startsWith("otel_obs_")) continue;
    if (!found.has(group)) found.set(group, []);
    found.get(group).push(name);
  }
  return new Map(GROUPS.filter(([group]) => found.has(group)).map(([group]) => [group, found.get(group).sort().slice(0, 16)]));
}

