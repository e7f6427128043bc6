// Read a page of metrics, in Prometheus' text format or in OpenMetrics, in one pass over its characters.

const SUFFIXES = ["_bucket", "_sum", "_count", "_total", "_created", "_info", "_gcount", "_gsum"];
const LABEL = /\s*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\]|\\.)*)")\s*(?:=\s*"((?:[^"\\]|\\.)*)"\s*)?[,}]/y;

export class Page {
  constructor() {
    this.families = new Map(); // name -> {name, type, help, unit}
    this.samples = []; // {key, family, name, labels, value, exemplar}
    this.unreadable = 0;
  }
}

/** Read *text*; *known* maps the text of a series to {family, name, labels}, and outlives the page. */
export function parse(text, known) {
  const page = new Page();
  page.isOpenMetrics = text.trimEnd().endsWith("# EOF");
  let start = 0;
  while (start < text.length) {
    let end = text.indexOf("\n", start);
    if (end < 0) end = text.length;
    const line = text.slice(start, end);
    start = end + 1;
    if (!line) continue;
    if (line.charCodeAt(0) === 35) readComment(line, page);
    else if (!readSample(line, page, known)) page.unreadable += 1;
  }
  return page;
}

function readComment(line, page) {
  const match = /^# (HELP|TYPE|UNIT) ("(?:[^"\\]|\\.)*"|\S+) ?(.*)$/.exec(line);
  if (!match) return;
  const name = match[2].startsWith('"') ? unescape(match[2].slice(1, -1)) : match[2];
  let family = page.families.get(name);
  if (!family) page.families.set(name, (family = { name, type: "unknown", help: "", unit: "" }));
  if (match[1] === "HELP") family.help = unescape(match[3]);
  else if (match[1] === "UNIT") family.unit = match[3];
  else family.type = match[3] === "untyped" ? "unknown" : match[3];
  // OpenMetrics leaves a counter's suffix to its samples; everybody asks for it by the sample's name.
  if (page.isOpenMetrics && family.type === "counter" && !family.name.endsWith("_total")) family.name += "_total";
}

function readSample(line, page, known) {
  const brace = line.indexOf("{");
  const blank = line.indexOf(" ");
  let end = brace >= 0 && (blank < 0 || brace < blank) ? closing(line, brace) : blank;
  if (end <= 0) return false;
  const key = line.slice(0, end);
  let series = known.get(key);
  if (!series) {
    series = readSeries(key, brace >= 0 && brace < end ? brace : -1);
    if (!series) return false;
    known.set(key, series);
  }
  const rest = line.slice(end).trim();
  const hash = rest.indexOf(" # ");
  const value = number((hash < 0 ? rest : rest.slice(0, hash)).split(" ", 1)[0]);
  if (value === undefined) return false;
  const family = familyOf(series, page);
  if (series.name.endsWith("_created") && family.type !== "gauge") return true;
  page.samples.push({ key, family, series, value, exemplar: hash < 0 ? null : readExemplar(rest.slice(hash + 3)) });
  return true;
}

/** The position behind the brace that closes the labels; braces in quotes do not. */
function closing(line, from) {
  let quoted = false;
  for (let i = from; i < line.length; i += 1) {
    const c = line.charCodeAt(i);
    if (quoted && c === 92) i += 1;
    else if (c === 34) quoted = !quoted;
    else if (c === 125 && !quoted) return i + 1;
  }
  return -1;
}

function readSeries(key, brace) {
  let name = brace < 0 ? key : key.slice(0, brace).trim();
  const labels = new Map();
  if (brace >= 0) {
    let position = brace + 1;
    for (;;) {
      while (key[position] === " " || key[position] === "\t") position += 1;
      if (position >= key.length - 1 && key[position] === "}") break;
      LABEL.lastIndex = position;
      const match = LABEL.exec(key);
      if (!match) return null;
      const label = match[1] ?? unescape(match[2]);
      if (match[3] === undefined) name = label;
      else labels.set(label, unescape(match[3]));
      position = LABEL.lastIndex;
      if (position >= key.length) break;
    }
  }
  return name ? { name, labels } : null;
}

function familyOf(series, page) {
  const own = page.families.get(series.name);
  if (own) return own;
  for (const suffix of SUFFIXES) {
    if (!series.name.endsWith(suffix)) continue;
    const family = page.families.get(series.name.slice(0, -suffix.length));
    if (family) return family;
  }
  const family = { name: series.name, type: "unknown", help: "", unit: "" };
  page.families.set(series.name, family);
  return family;
}

function readExemplar(text) {
  const end = text.startsWith("{") ? closing(text, 0) : -1;
  const series = end > 0 ? readSeries("x" + text.slice(0, end), 1) : null;
  if (!series) return null;
  const [value, time] = text.slice(end).trim().split(" ");
  return { labels: series.labels, value: Number(value), time: time === undefined ? null : Number(time) };
}

function number(text) {
  if (text === "+Inf" || text === "Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  if (text === "NaN" || text === "nan") return NaN;
  const value = Number(text);
  return text === "" || Number.isNaN(value) ? undefined : value;
}

function unescape(text) {
  return text.includes("\\") ? text.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c)) : text;
}
