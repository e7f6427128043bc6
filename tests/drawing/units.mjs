// Units, reducers and what a number looks like, by Grafana's own package. Arguments: dashboards' files.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<!doctype html><body></body>', { url: 'http://localhost/' });
Object.assign(globalThis, { window, document: window.document, localStorage: window.localStorage, navigator: window.navigator });
for (const name of ['HTMLElement', 'Element', 'Node', 'DOMParser', 'SVGElement', 'Document', 'DocumentFragment', 'CustomEvent']) {
  globalThis[name] ??= window[name];
}
window.matchMedia ??= () => ({ matches: false, addListener() {}, addEventListener() {} });

const { getValueFormats, getValueFormat, fieldReducers } = createRequire(import.meta.url)('@grafana/data');
const units = new Set(getValueFormats().flatMap(({ submenu }) => submenu.map(({ value }) => value)));
const faults = [];
const shown = {};
for (const file of process.argv.slice(2)) {
  const board = JSON.parse(readFileSync(file, 'utf8'));
  for (const panel of board.panels.filter(({ type }) => type !== 'row')) {
    const unit = panel.fieldConfig.defaults.unit;
    if (!units.has(unit)) faults.push(`${file}: ${panel.title}: ${unit} is no unit`);
    else {
      const { text, suffix = '', prefix = '' } = getValueFormat(unit)(0.25, 2);
      shown[unit] = `${prefix}${text}${suffix}`;
    }
    for (const reducer of panel.options?.reduceOptions?.calcs ?? []) {
      if (!fieldReducers.getIfExists(reducer)) faults.push(`${file}: ${panel.title}: ${reducer} is no reducer`);
    }
  }
}
console.log(JSON.stringify({ faults, shown }));
process.exit(0);
