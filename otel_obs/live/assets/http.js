// Requests: found by what their families look like, whoever's library exposes them.

import { addUp, buckets, groupIncreases, matches, nothing, quantileOf, quantiles, rate, smoothed } from "./queries.js";

const METHOD = ["method", "http_request_method", "http_method"];
const WHERE = ["endpoint", "handler", "http_route", "route", "path", "url_rule", "view", "uri", "url"];
const STATUS = ["status_code", "status", "http_response_status_code", "http_status_code", "code"];
const RECENT_S = 60;
const COLOURS = { "1xx": 9, "2xx": 0, "3xx": 1, "4xx": 7, "5xx": 4 };

function labelsOf(family) {
  const first = family.series.values().next().value;
  const has = (names) => names.find((name) => first?.labels.has(name));
  return { method: has(METHOD), where: has(WHERE), status: has(STATUS) };
}

/** The families that count and time served requests; null where there are none. */
export function findHttp(store) {
  let requests = null;
  let duration = null;
  let inProgress = null;
  for (const family of store.families.values()) {
    if (!/request/.test(family.name) || /client|websocket|size|created/.test(family.name)) continue;
    const labels = labelsOf(family);
    if (family.type === "counter" && labels.status && (labels.where || labels.method)) {
      const name = family.series.values().next().value.name;
      if (!requests || /(^|_)http_requests/.test(family.name)) requests = { family, name, labels };
    } else if (family.type === "histogram" && (labels.where || labels.method)) {
      if (!duration || labels.where) duration = { family, labels };
    } else if (family.type === "gauge" && /progress|active/.test(family.name)) inProgress = family;
  }
  if (!requests && duration?.labels.status) {
    requests = { family: duration.family, name: `${duration.family.name}_count`, labels: duration.labels };
  }
  return requests || duration ? { requests, duration, inProgress } : null;
}

function filterFor(labels, chosen) {
  const filter = { ...chosen.labels };
  if (chosen.where && labels?.where) filter[labels.where] = chosen.where;
  return filter;
}

/** Lines of the overview. *chosen* may hold `where`, an endpoint, and `labels`. */
export function overview(store, view, http, chosen) {
  const { requests, duration } = http;
  const result = { rates: [], errors: [], latency: [], heatmap: null, increases: null };
  if (requests) {
    const statusClass = (series) => `${(series.labels.get(requests.labels.status) ?? "?")[0]}xx`;
    const filter = filterFor(requests.labels, chosen);
    const groups = groupIncreases(store, view, requests.family, requests.name, filter, statusClass);
    const all = nothing(view);
    for (const values of groups.values()) addUp(all, values);
    result.increases = all;
    result.rates = [...groups].sort().map(([label, values]) => ({ label, values: rate(view, values), colour: COLOURS[label] }));
    const total = smoothed(view, all).sums;
    const failed = smoothed(view, groups.get("5xx") ?? nothing(view)).sums;
    result.errors = [{ label: "5xx", colour: COLOURS["5xx"], values: total.map((sum, i) => (sum > 0 ? (100 * (failed[i] || 0)) / sum : sum)) }];
  }
  if (duration) {
    const filter = filterFor(duration.labels, chosen);
    const lines = quantiles(store, view, duration.family, filter, [0.5, 0.95, 0.99]);
    result.latency = lines.map((values, i) => ({ label: ["p50", "p95", "p99"][i], values }));
    result.heatmap = heatmap(store, view, duration.family, filter);
  }
  return result;
}

/** How many observations fell between two bounds, at each point: a second, and since the point before. */
export function heatmap(store, view, family, filter) {
  const { bounds, cumulative } = buckets(store, view, family, filter);
  const rows = betweenBounds(cumulative.map((values) => rate(view, values)));
  return { bounds, rows, counts: betweenBounds(cumulative) };
}

function betweenBounds(sums) {
  return sums.map((values, row) => values.map((v, i) => (row ? Math.max(0, v - sums[row - 1][i]) : v)));
}

/** One row an endpoint, over the last minute. */
export function endpoints(store, http, targets) {
  const now = store.times.fine[store.tick % store.times.fine.length];
  const view = store.window(now - RECENT_S, now);
  const rows = new Map();
  const row = (labels, series) => {
    const where = series.labels.get(labels.where) ?? "–";
    if (!rows.has(where)) rows.set(where, { where, total: 0, recent: 0, failed: 0, bounds: new Map() });
    return rows.get(where);
  };
  const span = view.size > 1 ? view.times[view.size - 1] - view.times[0] : NaN;
  if (http.requests) countRows(store, view, http.requests, row);
  if (http.duration) timeRows(store, view, http.duration, row);
  return [...rows.values()].map(({ where, total, recent, failed, bounds }) => {
    const les = [...bounds.keys()].sort((a, b) => a - b);
    const counts = les.map((le) => bounds.get(le));
    const [p50, p95, p99] = [0.5, 0.95, 0.99].map((q) => quantileOf(q, les, counts));
    return { where, total, rate: recent / span, errors: recent ? (100 * failed) / recent : NaN, p50, p95, p99 };
  });
}

function countRows(store, view, { family, name, labels }, row) {
  for (const series of family.series.values()) {
    if (series.name !== name || !store.isLive(series)) continue;
    const found = row(labels, series);
    const grown = sumOf(store, view, series);
    found.total += series.last;
    found.recent += grown;
    if (series.labels.get(labels.status)?.startsWith("5")) found.failed += grown;
  }
}

function timeRows(store, view, { family, labels }, row) {
  for (const series of family.series.values()) {
    if (series.name !== `${family.name}_bucket`) continue;
    const le = series.labels.get("le");
    const bound = le === "+Inf" ? Infinity : Number(le);
    const { bounds } = row(labels, series);
    bounds.set(bound, (bounds.get(bound) ?? 0) + sumOf(store, view, series));
  }
}

function sumOf(store, view, series) {
  let sum = 0;
  let previous = view.at(series.ring, 0);
  for (let i = 1; i < view.size; i += 1) {
    const value = view.at(series.ring, i);
    if (Number.isNaN(value)) continue;
    if (Number.isNaN(previous)) sum += store.tick - (view.size - 1 - i) === series.first ? value : 0;
    else sum += value >= previous ? value - previous : value;
    previous = value;
  }
  return sum;
}

/** Rates and 95th percentiles of several endpoints, to compare. */
export function compare(store, view, http, wheres) {
  return wheres.map((where) => {
    const lines = overview(store, view, http, { where });
    const all = lines.increases ? rate(view, lines.increases) : nothing(view);
    return { label: where, rate: all, p95: lines.latency[1]?.values ?? nothing(view) };
  });
}

export function inProgress(store, http) {
  if (!http.inProgress) return NaN;
  let sum = 0;
  for (const series of http.inProgress.series.values()) {
    if (store.isLive(series) && matches(series, {}, store.targets)) sum += series.last;
  }
  return sum;
}
