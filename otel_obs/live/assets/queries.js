// Questions to the store: rates, quantiles and values over time, for one group of series or for each.

const SMOOTH_S = 10;
export const MOST_LINES = 10;

export function matches(series, filter, targets) {
  for (const [label, value] of Object.entries(filter ?? {})) {
    if (label === "target" ? targets[series.target].name !== value : series.labels.get(label) !== value) return false;
  }
  return true;
}

export function labelText(series, without, targets) {
  const parts = [];
  for (const [name, value] of series.labels) if (!without.has(name)) parts.push(`${name}=${value}`);
  if (targets.length > 1) parts.unshift(targets[series.target].name);
  return parts.join(", ") || series.name;
}

/** How much a counter grew at each point; a counter that falls has begun anew. NaN where that is not known. */
export function increases(store, view, series) {
  const result = new Float64Array(view.size).fill(NaN);
  const up = store.targets[series.target].up;
  let previous = view.hasBefore ? view.at(series.ring, -1) : NaN;
  let wasUp = view.hasBefore ? view.at(up, -1) === 1 : false;
  for (let i = 0; i < view.size; i += 1) {
    const value = view.at(series.ring, i);
    const isUp = view.at(up, i) === 1;
    if (!Number.isNaN(value)) {
      if (!Number.isNaN(previous)) result[i] = value >= previous ? value - previous : value;
      else if (wasUp) result[i] = value;
      previous = value;
    } else if (isUp) previous = NaN; // the series itself is gone
    wasUp = isUp;
  }
  return result;
}

export function addUp(total, more) {
  for (let i = 0; i < total.length; i += 1) {
    if (!Number.isNaN(more[i])) total[i] = (Number.isNaN(total[i]) ? 0 : total[i]) + more[i];
  }
  return total;
}

export function nothing(view) {
  return new Float64Array(view.size).fill(NaN);
}

/** The sum of the last ten seconds at each point, and how many seconds that is. */
export function smoothed(view, values) {
  const sums = nothing(view);
  const seconds = nothing(view);
  let first = 1;
  let sum = 0;
  let known = 0;
  for (let i = 1; i < view.size; i += 1) {
    if (!Number.isNaN(values[i])) {
      sum += values[i];
      known += 1;
    }
    while (first < i && view.times[i] - view.times[first - 1] > Math.max(SMOOTH_S, view.step * 2)) {
      if (!Number.isNaN(values[first])) {
        sum -= values[first];
        known -= 1;
      }
      first += 1;
    }
    if (!known || Number.isNaN(values[i])) continue;
    sums[i] = Math.max(0, sum);
    seconds[i] = view.times[i] - view.times[first - 1];
  }
  return { sums, seconds };
}

export function rate(view, increase) {
  const { sums, seconds } = smoothed(view, increase);
  return sums.map((sum, i) => sum / seconds[i]);
}

/** Increases of all series of a sample's name, by what *groupOf* says; null leaves a series out. */
export function groupIncreases(store, view, family, name, filter, groupOf) {
  const groups = new Map();
  for (const series of family?.series.values() ?? []) {
    if (series.name !== name || !matches(series, filter, store.targets)) continue;
    const group = groupOf(series);
    if (group === null) continue;
    if (!groups.has(group)) groups.set(group, nothing(view));
    addUp(groups.get(group), increases(store, view, series));
  }
  return groups;
}

export function buckets(store, view, family, filter) {
  const groups = groupIncreases(store, view, family, `${family?.name}_bucket`, filter, (s) => s.labels.get("le"));
  const bounds = [...groups.keys()].map(toNumber).sort((a, b) => a - b);
  const byBound = new Map([...groups].map(([le, values]) => [toNumber(le), values]));
  return { bounds, cumulative: bounds.map((bound) => byBound.get(bound)) };
}

function toNumber(le) {
  return le === "+Inf" ? Infinity : Number(le);
}

/** As Prometheus' histogram_quantile: linear within a bucket, the highest bound where it is above all. */
export function quantileOf(q, bounds, counts) {
  const total = counts[counts.length - 1];
  if (!(total > 0)) return NaN;
  const rank = q * total;
  const i = counts.findIndex((count) => count >= rank);
  if (bounds[i] === Infinity) return bounds.length > 1 ? bounds[i - 1] : NaN;
  const lower = i ? bounds[i - 1] : Math.min(0, bounds[0]);
  const below = i ? counts[i - 1] : 0;
  return lower + ((bounds[i] - lower) * (rank - below)) / (counts[i] - below || 1);
}

export function quantiles(store, view, family, filter, qs) {
  const { bounds, cumulative } = buckets(store, view, family, filter);
  const sums = cumulative.map((values) => smoothed(view, values).sums);
  return qs.map((q) =>
    Float64Array.from({ length: view.size }, (_, i) => quantileOf(q, bounds, sums.map((values) => values[i]))),
  );
}

/** One family as lines: rates of a counter, quantiles of a histogram, values of all else. */
export function familyLines(store, view, family, filter) {
  if (family.type === "histogram") {
    const lines = quantiles(store, view, family, filter, [0.5, 0.95, 0.99]);
    return lines.map((values, i) => ({ label: ["p50", "p95", "p99"][i], values }));
  }
  const isCounter = family.type === "counter";
  const without = new Set(Object.keys(filter ?? {}));
  const lines = [];
  for (const series of family.series.values()) {
    if (series.name.endsWith("_created") || !matches(series, filter, store.targets)) continue;
    lines.push({ series, last: Number.isNaN(series.last) ? -Infinity : Math.abs(series.last) });
  }
  lines.sort((a, b) => b.last - a.last);
  return lines.slice(0, MOST_LINES).map(({ series }) => ({
    label: labelText(series, without, store.targets),
    values: isCounter
      ? rate(view, increases(store, view, series))
      : Float64Array.from({ length: view.size }, (_, i) => view.at(series.ring, i)),
  }));
}
