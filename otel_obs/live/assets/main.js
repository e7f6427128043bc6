// The page: its controls, its tabs, and the beat at which it asks the worker and shows what comes.

import { redrawAll } from "./chart.js";
import { announce } from "./figure.js";
import { clock, element, number } from "./format.js";
import { currentLanguage, say, sayAll, setLanguage } from "./i18n.js";
import { Gallery, groupsOf, Metrics } from "./metrics.js";
import { Endpoints, Exemplars, Overview, Workers } from "./views.js";

const RANGES = [300, 900, 3600];
const byId = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let asked = 0;

function ask(message) {
  asked += 1;
  const id = asked;
  worker.postMessage({ ...message, id });
  return new Promise((resolve) => waiting.set(id, resolve));
}

function kept(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(`otel-obs.${name}`)) ?? fallback;
  } catch {
    return fallback;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`otel-obs.${name}`, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing still shows everything.
  }
}

const page = {
  status: { targets: [], now: NaN, series: 0, families: 0, events: [] },
  chosen: {},
  pinned: kept("pinned", []),
  zoomed: null,
  isPaused: false,
  isLoaded: false,
  isAsking: false,
  tab: "overview",
  groups: new Map(),
  traces: "",
  views: new Map(),
  hooks: {
    zoom(from, to) {
      page.zoomed = [from, to];
      page.pause(true);
      byId("back").hidden = false;
      page.refresh();
    },
    reset() {
      page.zoomed = null;
      byId("back").hidden = true;
      page.pause(false);
      page.refresh();
    },
  },

  choose(chosen) {
    page.chosen = chosen;
    page.go("overview");
  },

  open(name) {
    if (name) page.go("metrics");
    page.view("metrics").open(name);
  },

  pin(name) {
    page.pinned = page.pinned.includes(name) ? page.pinned.filter((other) => other !== name) : [...page.pinned, name];
    keep("pinned", page.pinned);
    page.showTabs();
    page.refresh();
  },

  pause(on) {
    page.isPaused = on;
    worker.postMessage({ type: "pause", on });
    page.showState();
  },

  view(tab) {
    if (!page.views.has(tab)) page.views.set(tab, page.make(tab));
    return page.views.get(tab);
  },

  make(tab) {
    if (tab === "overview") return new Overview(page);
    if (tab === "endpoints") return new Endpoints(page);
    if (tab === "workers") return new Workers(page);
    if (tab === "metrics") return new Metrics(page);
    if (tab === "exemplars") return new Exemplars(page);
    if (tab === "pinned") return new Gallery(page, say("pinned"), () => page.pinned);
    const group = tab.slice("group:".length);
    return new Gallery(page, say(group), () => page.groups.get(group) ?? []);
  },

  go(tab) {
    page.tab = tab;
    history.replaceState(null, "", `#${tab}`);
    byId("content").replaceChildren(page.view(tab).root);
    page.showTabs();
    page.refresh();
  },

  tabs() {
    const groups = [...page.groups.keys()].map((group) => [`group:${group}`, say(group)]);
    const first = ["overview", "endpoints", "workers"].map((tab) => [tab, say(tab)]);
    const last = ["metrics", "exemplars"].map((tab) => [tab, say(tab)]);
    return [...first, ...groups, ...last, ...(page.pinned.length ? [["pinned", say("pinned")]] : [])];
  },

  showTabs() {
    const tabs = page.tabs();
    const list = byId("tabs");
    const shape = tabs.join() + currentLanguage();
    if (list.dataset.shape !== shape) {
      list.dataset.shape = shape;
      list.replaceChildren(...tabs.map(([tab, name]) => {
        const open = element("button", { type: "button", textContent: name, onclick: () => page.go(tab) });
        open.dataset.tab = tab;
        return element("li", {}, open);
      }));
    }
    for (const open of list.querySelectorAll("button")) {
      if (open.dataset.tab === page.tab) open.setAttribute("aria-current", "page");
      else open.removeAttribute("aria-current");
    }
  },

  range() {
    if (page.zoomed) return { from: page.zoomed[0], to: page.zoomed[1] };
    const seconds = Number(byId("range").value);
    if (page.isLoaded) return { from: 0, to: Infinity };
    return { from: page.status.now - seconds, to: Infinity };
  },

  /** Ask for what the open tab needs, and show it; while one answer is under way, the next waits. */
  async refresh() {
    if (Number.isNaN(page.status.now)) return;
    if (page.isAsking) {
      page.isStale = true;
      return;
    }
    page.isAsking = true;
    const view = page.view(page.tab);
    const range = page.range();
    const questions = Object.entries(view.questions());
    const answers = await Promise.all(questions.map(([, question]) => ask({ type: "ask", ...range, ...question })));
    const shown = Object.fromEntries(questions.map(([key], i) => [key, answers[i]]));
    await new Promise(requestAnimationFrame);
    if (view === page.views.get(page.tab)) view.show(shown, page.status);
    page.isAsking = false;
    if (page.isStale) {
      page.isStale = false;
      page.refresh();
    }
  },

  async ticked(status) {
    page.status = status;
    page.showState();
    const { names } = await ask({ type: "ask", question: "groups" });
    page.groups = groupsOf(names);
    page.showTabs();
    page.refresh();
  },

  showState() {
    const { targets, series, families, left } = page.status;
    const isDown = targets.some((target) => !target.isUp);
    const key = page.isLoaded ? "loaded" : page.isPaused ? "paused" : Number.isNaN(page.status.now) ? "waiting" : "live";
    byId("state").className = `state ${isDown ? "down" : key}`;
    const text = Number.isNaN(page.status.now) ? say(key) : `${say(key)} · ${clock(page.status.now)}`;
    byId("state-text").textContent = text;
    const said = [say("summary", number(series), number(families)), ...(left ? [say("left", number(left))] : [])];
    byId("summary").textContent = series ? said.join(" · ") : "";
    byId("pause").textContent = say(page.isPaused ? "resume" : "pause");
    const trouble = page.isLoaded ? "" : targets.filter((t) => !t.isUp).map((t) => say("down", t.name, t.error)).join(" · ");
    const place = byId("trouble");
    if (place.textContent !== trouble) place.textContent = trouble;
    place.hidden = !trouble;
  },
};

function showWords() {
  sayAll(document);
  const range = byId("range");
  const chosen = range.value || String(RANGES[0]);
  range.replaceChildren(...RANGES.map((s) => element("option", { value: String(s), textContent: s === 3600 ? say("hour") : say("minutes", s / 60) })));
  range.value = chosen;
  document.title = `${say("title")} – otel-obs`;
  for (const view of page.views.values()) for (const chart of view.charts ?? []) chart.remove();
  page.views.clear();
  page.showState();
  page.go(page.tab);
}

function showTheme() {
  const chosen = byId("theme").value;
  const isDark = chosen === "dark" || (chosen === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  redrawAll();
  page.refresh();
}

async function save() {
  const text = await ask({ type: "save" });
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })) });
  link.download = `otel-obs-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function load(file) {
  const isRight = await ask({ type: "load", text: await file.text() });
  if (!isRight) {
    byId("trouble").textContent = say("notLoaded");
    byId("trouble").hidden = false;
    return;
  }
  page.isLoaded = true;
  byId("back").hidden = false;
  page.showState();
  announce(say("loaded"));
  page.refresh();
}

function connect() {
  byId("pause").addEventListener("click", () => page.pause(!page.isPaused));
  byId("back").addEventListener("click", () => (page.isLoaded ? location.reload() : page.hooks.reset()));
  byId("range").addEventListener("change", () => page.refresh());
  byId("save").addEventListener("click", save);
  byId("load").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", (event) => event.target.files[0] && load(event.target.files[0]));
  byId("theme").addEventListener("change", () => {
    keep("theme", byId("theme").value);
    showTheme();
  });
  byId("language").addEventListener("change", () => {
    keep("language", byId("language").value);
    setLanguage(byId("language").value);
    showWords();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  worker.addEventListener("message", ({ data }) => {
    if (data.type === "tick") page.ticked(data);
    else {
      waiting.get(data.id)?.(data.answer);
      waiting.delete(data.id);
    }
  });
}

async function begin() {
  const preferred = navigator.language.startsWith("ko") ? "ko" : "en";
  byId("language").value = kept("language", preferred);
  byId("theme").value = kept("theme", "auto");
  setLanguage(byId("language").value);
  const tab = location.hash.slice(1);
  if (["overview", "endpoints", "workers", "metrics", "exemplars", "pinned"].includes(tab) || tab.startsWith("group:")) page.tab = tab;
  connect();
  showWords();
  showTheme();
  const answer = await fetch("targets.json", { cache: "no-store" });
  const { targets, interval_s: interval, traces } = await answer.json();
  page.traces = traces;
  const base = document.baseURI;
  worker.postMessage({ type: "start", targets: targets.map((t) => ({ ...t, url: new URL(t.url, base).href })), interval });
}

begin();
