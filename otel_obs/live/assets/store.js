// What was scraped, kept for an hour: the last 15 minutes at every scrape, the rest at every fifth.

export const FINE = 450;
export const COARSE = 720;
const EVERY = 5;
/** How many series are kept: each takes up to 10 KB for its hour. */
export const MOST_SERIES = 50000;

class Ring {
  constructor() {
    this.fine = new Float64Array(FINE).fill(NaN);
    this.coarse = null; // made when the first fifth tick comes: a series of a minute needs none
  }

  put(tick, value) {
    this.fine[tick % FINE] = value;
    if (tick % EVERY) return;
    if (!this.coarse) this.coarse = new Float64Array(COARSE).fill(NaN);
    this.coarse[(tick / EVERY) % COARSE] = value;
  }
}

export class Store {
  constructor(targets) {
    this.targets = targets.map((target) => ({ ...target, up: new Ring(), isUp: false, error: "", ms: 0 }));
    this.clear();
  }

  clear() {
    this.tick = -1;
    this.times = new Ring();
    this.families = new Map(); // name -> {name, type, help, unit, series: Map(key -> series)}
    this.exemplars = new Map();
    this.series = 0;
    this.left = 0; // how many series of the last scrape found no room
    this.events = [];
    for (const target of this.targets) target.up = new Ring();
  }

  /** Add one scrape of every target; a page is null where there was none. */
  append(time, pages) {
    this.tick += 1;
    this.left = 0;
    this.times.put(this.tick, time);
    pages.forEach((page, index) => {
      const target = this.targets[index];
      target.up.put(this.tick, page ? 1 : 0);
      if (this.tick > 0 && target.isUp !== Boolean(page)) this.note(time, page ? "back" : "gone", target.name);
      target.isUp = Boolean(page);
      if (page) this.#addPage(page, index, time);
    });
    this.#markAbsent(time);
  }

  note(time, kind, what) {
    this.events.unshift({ time, kind, what });
    this.events.length = Math.min(this.events.length, 200);
  }

  #addPage(page, target, time) {
    for (const { key, family: found, series: read, value, exemplar } of page.samples) {
      let family = this.families.get(found.name);
      if (!family) this.families.set(found.name, (family = { ...found, series: new Map() }));
      else if (family.type !== found.type || family.help !== found.help) Object.assign(family, found);
      const id = `${target}\n${key}`;
      let series = family.series.get(id);
      if (!series && this.series >= MOST_SERIES) {
        this.left += 1;
        continue;
      }
      if (!series) {
        this.series += 1;
        series = { ...read, target, ring: new Ring(), first: this.tick, seen: this.tick, last: value };
        family.series.set(id, series);
        if (read.labels.has("worker")) this.#workerSeen(read, time);
      }
      series.ring.put(this.tick, value);
      series.seen = this.tick;
      series.last = value;
      if (exemplar) this.#addExemplar(id, found.name, series, exemplar);
    }
  }

  #workerSeen(series, time) {
    if (series.name.endsWith("_worker_memory_bytes") && this.tick > 0) {
      this.note(time, "workerStarted", series.labels.get("worker"));
    }
  }

  #addExemplar(id, family, series, exemplar) {
    const trace = exemplar.labels.get("trace_id") ?? exemplar.labels.get("traceID") ?? "";
    const key = `${id}\n${trace}\n${exemplar.time}`;
    if (this.exemplars.has(key)) return;
    const { labels: all, value, time } = exemplar;
    this.exemplars.set(key, { family, labels: series.labels, trace, all, value, time });
    if (this.exemplars.size > 500) this.exemplars.delete(this.exemplars.keys().next().value);
  }

  /** A series that no page has any more has no value; after an hour it is forgotten. */
  #markAbsent(time) {
    for (const [name, family] of this.families) {
      for (const [id, series] of family.series) {
        if (series.seen === this.tick) continue;
        series.ring.put(this.tick, NaN);
        if (series.seen === this.tick - 1 && series.name.endsWith("_worker_memory_bytes")) {
          this.note(time, "workerGone", series.labels.get("worker"));
        }
        if (this.tick - series.seen > COARSE * EVERY) {
          family.series.delete(id);
          this.series -= 1;
        }
      }
      if (!family.series.size) this.families.delete(name);
    }
  }

  isLive(series) {
    return series.seen === this.tick;
  }

  /** The points between two times, in seconds since the epoch, as a view that reads any ring. */
  window(from, to) {
    const oldestFine = this.times.fine[Math.max(0, this.tick - FINE + 1) % FINE];
    const isFine = this.tick < FINE || from >= oldestFine;
    const step = isFine ? 1 : EVERY;
    const size = isFine ? FINE : COARSE;
    const newest = Math.floor(this.tick / step);
    const ring = (r) => (isFine ? r.fine : r.coarse);
    let start = Math.max(0, newest - size + 2);
    const time = (index) => ring(this.times)[index % size];
    while (start < newest && time(start) < from) start += 1;
    let end = newest;
    while (end > start && time(end) > to) end -= 1;
    const times = [];
    for (let i = start; i <= end; i += 1) times.push(time(i));
    const at = (r, index) => (ring(r) ? ring(r)[(start + index + size) % size] : NaN);
    const hasBefore = start > Math.max(0, newest - size + 1);
    return { times, at, size: this.tick < 0 ? 0 : times.length, hasBefore, step };
  }
}
