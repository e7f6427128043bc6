// Numbers, times and elements. Text is only ever set as text: labels are foreign.

import { currentLanguage, say } from "./i18n.js";

export function number(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (unit === "seconds") return seconds(value);
  if (unit === "bytes") return bytes(value);
  const size = Math.abs(value);
  const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  const text = size >= 1e15 || (size > 0 && size < 0.001) ? value.toExponential(2) : grouped(value, digits);
  return unit === "percent" ? `${text}%` : text;
}

const FORMATS = new Map();

function grouped(value, digits) {
  const key = currentLanguage() + digits;
  if (!FORMATS.has(key)) FORMATS.set(key, new Intl.NumberFormat(currentLanguage(), { maximumFractionDigits: digits }));
  return FORMATS.get(key).format(value);
}

function seconds(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001) return `${grouped(value * 1e6, 0)} µs`;
  if (size < 1) return `${grouped(value * 1e3, size < 0.01 ? 1 : 0)} ms`;
  if (size < 120) return `${grouped(value, size < 10 ? 2 : 0)} s`;
  if (size < 7200) return `${grouped(value / 60, 0)} min`;
  return size < 172800 ? `${grouped(value / 3600, 1)} h` : `${grouped(value / 86400, 1)} d`;
}

function bytes(value) {
  let size = value;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${grouped(size, unit ? 1 : 0)} ${units[unit]}`;
}

/** A value as it was scraped, with all its digits. */
export function exact(value) {
  return value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value);
}

export function clock(time) {
  return new Date(time * 1000).toLocaleTimeString("en-GB", { hour12: false });
}

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list" && name !== "role") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function button(key, onclick, properties = {}) {
  return element("button", { type: "button", onclick, textContent: say(key), ...properties });
}

const CELLS = new WeakMap(); // what each row shows: to compare with it costs no look at the document

const ROWS_A_FRAME = 40;
const FILLING = new WeakMap();

/** Fill a table's body with rows of texts, changing only what is new, and not more in a frame than it has room for. */
export async function fill(body, rows, make) {
  const turn = {};
  FILLING.set(body, turn);
  const old = new Map([...body.children].map((row) => [row.dataset.key, row]));
  let place = body.firstElementChild;
  for (const [count, row] of rows.entries()) {
    if (count && count % ROWS_A_FRAME === 0) {
      await new Promise(requestAnimationFrame);
      if (FILLING.get(body) !== turn) return; // newer values have come
    }
    let line = old.get(row.key);
    if (!line) {
      line = element("tr");
      line.dataset.key = row.key;
      make(line, row);
    }
    old.delete(row.key);
    if (!CELLS.has(line)) CELLS.set(line, { cells: line.querySelectorAll("[data-cell]"), texts: [] });
    const { cells, texts } = CELLS.get(line);
    row.texts.forEach((text, index) => {
      if (texts[index] === text) return;
      texts[index] = text;
      cells[index].textContent = text;
    });
    if (line !== place) body.insertBefore(line, place);
    else place = place.nextElementSibling;
  }
  for (const line of old.values()) line.remove();
}
