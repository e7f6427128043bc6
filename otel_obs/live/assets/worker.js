// Scrapes, keeps and computes, away from the thread that draws.

import * as http from "./http.js";
import { parse } from "./parse.js";
import { addUp, familyLines, increases, matches, nothing } from "./queries.js";
import { Store } from "./store.js";

let store = null;
let known = [];
let intervalMs = 2000;
let isPaused = false;
let isLoaded = false;

const ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

async function scrape(target, index) {
  const started = performance.now();
  try {
    const answer = await fetch(target.url, {
      headers: { Accept: ACCEPT },
      cache: "no-store",
      signal: AbortSignal.timeout(Math.max(5000, intervalMs * 2)),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(answer.headers.get("x-error") ?? text.slice(0, 200).trim() ?? answer.statusText);
    if (known[index].size > 200000) known[index].clear();
    const page = parse(text, known[index]);
    if (!page.samples.length && page.unreadable) throw new Error("not a page of metrics");
    Object.assign(target, { error: "", ms: performance.now() - started, unreadable: page.unreadable });
    return page;
  } catch (error) {
    target.error = error.name === "TimeoutError" ? "no answer in time" : String(error.message || error);
    return null;
  }
}

async function tick() {
  const started = performance.now();
  if (!isPaused && !isLoaded) {
    const time = Date.now() / 1000;
    const pages = await Promise.all(store.targets.map(scrape));
    if (!isLoaded) {
      store.append(time, pages);
      postMessage({ type: "tick", ...status() });
    }
  }
  setTimeout(tick, Math.max(50, intervalMs - (performance.now() - started)));
}

function status() {
  const targets = store.targets.map(({ name, isUp, error, ms }) => ({ name, isUp, error, ms }));
  const now = store.tick < 0 ? NaN : store.window(0, Infinity).times.at(-1);
  const { series, left } = store;
  return { targets, now, series, left, families: store.families.size, events: store.events.slice(0, 30) };
}

const ANSWERS = {
  overview({ from, to, chosen, compared }) {
    const found = http.findHttp(store);
    const view = store.window(from, to);
    if (!found) return { times: view.times, has: false };
    const lines = http.overview(store, view, found, chosen);
    const rows = http.endpoints(store, found);
    const both = http.compare(store, view, found, compared);
    return { times: view.times, has: true, ...lines, rows, compared: both, inProgress: http.inProgress(store, found) };
  },

  families({ search, pinned }) {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [];
    for (const family of store.families.values()) {
      const text = `${family.name} ${family.help} ${family.type}`.toLowerCase();
      if (!pinned.includes(family.name) && !words.every((word) => text.includes(word))) continue;
      rows.push(row(family));
    }
    rows.sort((a, b) => (a.name < b.name ? -1 : 1));
    return { rows: rows.slice(0, 300), count: rows.length };
  },

  family({ name, filter, from, to }) {
    const family = store.families.get(name);
    const view = store.window(from, to);
    if (!family) return { name, times: view.times, lines: [], series: [], has: false };
    const series = [];
    let count = 0;
    for (const item of family.series.values()) {
      if (!store.isLive(item) || !matches(item, filter, store.targets)) continue;
      count += 1;
      if (series.length < 200) series.push({ name: item.name, labels: [...item.labels], value: item.last });
    }
    const all = family.type === "counter" ? grown(family, view, filter) : null;
    return { ...row(family), times: view.times, lines: familyLines(store, view, family, filter), all, series, count, has: true };
  },

  workers({ from, to }) {
    const view = store.window(from, to);
    const rows = new Map();
    for (const family of store.families.values()) {
      const match = /_worker_(memory_bytes|cpu_percent|threads|open_fds|start_time_seconds)$/.exec(family.name);
      if (!match) continue;
      for (const series of family.series.values()) {
        const key = `${series.target}\n${series.labels.get("worker")}`;
        const found = rows.get(key) ?? { worker: series.labels.get("worker"), target: store.targets[series.target].name };
        found[match[1]] = series.last;
        found.isLive = store.isLive(series);
        if (match[1] === "memory_bytes") found.memory = values(view, series);
        rows.set(key, found);
      }
    }
    return { times: view.times, rows: [...rows.values()] };
  },

  exemplars() {
    const rows = [...store.exemplars.values()].slice(-100).reverse();
    return { rows: rows.map((e) => ({ ...e, labels: [...e.labels], all: [...e.all] })) };
  },

  groups() {
    return { names: [...store.families.keys()].filter((name) => !name.endsWith("_created")) };
  },
};

function values(view, series) {
  return Float64Array.from({ length: view.size }, (_, i) => view.at(series.ring, i));
}

function grown(family, view, filter) {
  const all = nothing(view);
  for (const series of family.series.values()) {
    if (!series.name.endsWith("_created") && matches(series, filter, store.targets)) addUp(all, increases(store, view, series));
  }
  return all;
}

function row(family) {
  const labels = new Set();
  let count = 0;
  let last = null;
  for (const series of family.series.values()) {
    if (!store.isLive(series)) continue;
    count += 1;
    last ??= series;
    for (const name of series.labels.keys()) labels.add(name);
  }
  const { name, type, help, unit } = family;
  const value = count === 1 ? last.last : null;
  return { name, type, help, unit: unit || unitOf(name), labels: [...labels], count, value };
}

function unitOf(name) {
  return /_(seconds|bytes|ratio|percent|celsius|usd|milliseconds)(?:_total)?$/.exec(name)?.[1] ?? "";
}

/** All that is known, as what JSON can hold; NaN is null there. */
function saved() {
  const view = store.window(0, Infinity);
  const plain = (array) => Array.from(array, (v) => (Number.isFinite(v) ? v : Number.isNaN(v) ? null : String(v)));
  const families = [...store.families.values()].map((family) => ({
    ...family,
    series: [...family.series.values()].map((s) => ({
      name: s.name,
      labels: [...s.labels],
      target: s.target,
      values: plain(values(view, s)),
    })),
  }));
  const targets = store.targets.map((t) => ({ name: t.name, up: plain(values(view, { ring: t.up })) }));
  const exemplars = [...store.exemplars.values()].map((e) => ({ ...e, labels: [...e.labels], all: [...e.all], value: plain([e.value])[0] }));
  return { format: "otel-obs view 1", times: Array.from(view.times), targets, families, exemplars, events: store.events };
}

/** Show what was saved; nothing is scraped until it is closed. */
function load(data) {
  const targets = data.targets.map(({ name }) => ({ name: String(name), url: "" }));
  const loaded = new Store(targets);
  const number = (v) => (v === null || v === undefined ? NaN : Number(v));
  const texts = (pairs) => new Map(pairs.map(([k, v]) => [String(k), String(v)]));
  data.times.forEach((time, i) => {
    const pages = targets.map((_, target) => (number(data.targets[target].up[i]) === 1 ? { samples: [] } : null));
    for (const family of data.families) {
      family.series.forEach((s, at) => {
        const value = number(s.values[i]);
        if (Number.isNaN(value) || !pages[s.target]) return;
        s.read ??= { name: String(s.name), labels: texts(s.labels) };
        const found = { name: String(family.name), type: String(family.type), help: String(family.help), unit: String(family.unit) };
        pages[s.target].samples.push({ key: `${at}`, family: found, series: s.read, value, exemplar: null });
      });
    }
    loaded.append(time, pages);
  });
  // Files that were saved before exemplars were kept have none.
  (data.exemplars ?? []).slice(-500).forEach(({ family, labels, all, trace, value, time }, at) => {
    const read = { family: String(family), trace: String(trace), value: number(value), time: time === null ? null : number(time) };
    loaded.exemplars.set(at, { ...read, labels: texts(labels), all: texts(all) });
  });
  loaded.events = data.events.map(({ time, kind, what }) => ({ time, kind: String(kind), what: String(what) }));
  store = loaded;
  isLoaded = true;
  postMessage({ type: "tick", ...status() });
}

const COMMANDS = {
  start({ targets, interval }) {
    store = new Store(targets);
    known = targets.map(() => new Map());
    intervalMs = interval * 1000;
    tick();
  },
  pause({ on }) {
    isPaused = on;
  },
  ask({ id, question, ...rest }) {
    postMessage({ type: "answer", id, answer: ANSWERS[question](rest) });
  },
  save({ id }) {
    postMessage({ type: "answer", id, answer: JSON.stringify(saved()) });
  },
  load({ id, text }) {
    try {
      const data = JSON.parse(text);
      if (data.format !== "otel-obs view 1") throw new Error("format");
      load(data);
      postMessage({ type: "answer", id, answer: true });
    } catch {
      postMessage({ type: "answer", id, answer: false });
    }
  },
};

onmessage = ({ data }) => COMMANDS[data.type](data);
