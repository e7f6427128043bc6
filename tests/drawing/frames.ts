// What Prometheus answered, as the frames and fields that Grafana's components draw.
import {
  DataFrame,
  Field,
  FieldType,
  GrafanaTheme2,
  MappingType,
  ReducerID,
  ThresholdsMode,
  getDisplayProcessor,
  reduceField,
  stringToJsRegex,
} from '@grafana/data';

export type Series = { metric: Record<string, string>; values: Array<[number, string]> };
type Override = { matcher: { id: string; options: string }; properties: Array<{ id: string; value: any }> };
export type Panel = {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets: Array<{ expr: string; legendFormat: string }>;
  fieldConfig: { defaults: any; overrides?: Override[] };
  options: any;
};
export type Scene = {
  dashboard: { title: string; panels: Panel[] };
  answers: Record<string, Series[][]>;
  from: number;
  to: number;
};

const CUSTOM = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  fillOpacity: 0,
  gradientMode: 'none',
  axisPlacement: 'auto',
  axisLabel: '',
  axisColorMode: 'text',
  axisBorderShow: false,
  scaleDistribution: { type: 'linear' },
  showPoints: 'never',
  pointSize: 5,
  spanNulls: false,
  insertNulls: false,
  barAlignment: 0,
  barWidthFactor: 0.6,
  stacking: { mode: 'none', group: 'A' },
  thresholdsStyle: { mode: 'off' },
  hideFrom: { tooltip: false, viz: false, legend: false },
};

export function nameOf(legend: string, labels: Record<string, string>): string {
  if (legend && legend !== '__auto') {
    return legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, key) => labels[key] ?? '').trim();
  }
  const pairs = Object.entries(labels).filter(([key]) => key !== '__name__');
  return pairs.length ? `{${pairs.map(([key, value]) => `${key}="${value}"`).join(', ')}}` : '';
}

// Grafana gives these units their range, where a panel does not.
const RANGES: Record<string, [number, number]> = { percent: [0, 100], percentunit: [0, 1] };
const IN_A_RANGE = ['gauge', 'bargauge'];

function rangeOf(panel: Panel) {
  const { unit, min, max } = panel.fieldConfig.defaults;
  const [low, high] = IN_A_RANGE.includes(panel.type) ? RANGES[unit] ?? [] : [];
  return { min: min ?? low, max: max ?? high };
}

function overridden(panel: Panel, name: string, id: string): any {
  for (const { matcher, properties } of panel.fieldConfig.overrides ?? []) {
    const pattern = stringToJsRegex(matcher.options);
    if (matcher.id === 'byRegexp' && pattern.test(name)) {
      return properties.find((property) => property.id === id)?.value;
    }
  }
  return undefined;
}

export function framesOf(panel: Panel, answers: Series[][], theme: GrafanaTheme2): DataFrame[] {
  return answers.flatMap((found, index) => found.map((series) => frame(panel, index, series, theme)));
}

let colour = 0;

function frame(panel: Panel, index: number, series: Series, theme: GrafanaTheme2): DataFrame {
  const defaults = panel.fieldConfig.defaults;
  const time: Field = {
    name: 'Time',
    type: FieldType.time,
    config: {},
    values: series.values.map(([at]) => at * 1000),
  };
  const name = nameOf(panel.targets[index].legendFormat, series.metric);
  const value: Field = {
    name: 'Value',
    type: FieldType.number,
    labels: series.metric,
    config: {
      ...defaults,
      ...rangeOf(panel),
      displayName: name || panel.title,
      displayNameFromDS: name || panel.title,
      color: overridden(panel, name, 'color') ?? defaults.color ?? { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' },
      thresholds: {
        mode: ThresholdsMode.Absolute,
        steps: (defaults.thresholds?.steps ?? []).map((s: any) => ({ ...s, value: s.value ?? -Infinity })),
      },
      mappings: (defaults.mappings ?? []).map((m: any) => ({ ...m, type: MappingType.ValueToText })),
      custom: { ...CUSTOM, ...defaults.custom },
    },
    // Grafana's back end makes a gap of what is not a number.
    values: series.values.map(([, text]) => (Number.isNaN(Number(text)) ? null : Number(text))),
    state: { seriesIndex: colour++ },
  };
  value.state!.displayName = name || panel.title;
  const { min, max } = reduceField({ field: value, reducers: [ReducerID.min, ReducerID.max] });
  const [low, high] = [value.config.min ?? min ?? 0, value.config.max ?? max ?? 0];
  value.state!.range = { min: low, max: high, delta: high - low };
  time.display = getDisplayProcessor({ field: time, theme });
  value.display = getDisplayProcessor({ field: value, theme });
  return { refId: String.fromCharCode(65 + index), name, fields: [time, value], length: time.values.length };
}

export function restartColours(): void {
  colour = 0;
}

export function lastOf(field: Field): number {
  return reduceField({ field, reducers: [ReducerID.lastNotNull] })[ReducerID.lastNotNull];
}
