// Draws one dashboard's JSON, with the answers of a real Prometheus, by Grafana's own components.
import { DataFrame, createTheme, dateTime, getDisplayValueAlignmentFactors, getValueFormat, ThemeContext, VizOrientation } from '@grafana/data';
import { BarGaugeDisplayMode, BarGaugeValueMode, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode } from '@grafana/schema';
import { BarGauge, BigValue, PanelChrome, TimeSeries } from '@grafana/ui';
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import React from 'react';
import { createRoot } from 'react-dom/client';
import { Panel, Scene, Series, framesOf, lastOf, restartColours } from './frames';

const theme = createTheme({ colors: { mode: 'dark' } });
const LINE = 38, GAP = 8, COLUMN = 1400 / 24;

type Shown = { panel: Panel; answers: Series[][]; scene: Scene; width: number; height: number };

function Body({ panel, answers, scene, width, height }: Shown) {
  restartColours();
  const frames = framesOf(panel, answers, theme);
  if (!frames.length) {
    return <div className="nothing">No data</div>;
  }
  switch (panel.type) {
    case 'timeseries':
      return <Lines {...{ panel, answers, scene, width, height }} frames={frames} />;
    case 'stat':
      return <Row frames={frames} width={width} height={height} stacked={panel.options.orientation === 'horizontal'} draw={(frame, w, h) => big(panel, frame, w, h, alignmentOf(frames))} />;
    case 'gauge':
      return <Row frames={frames} width={width} height={height} draw={(frame, w) => round(frame, w, height)} />;
    case 'bargauge':
      return <Bars panel={panel} frames={frames} width={width} height={height} />;
    default:
      return <Heat {...{ panel, answers, scene, width, height }} />;
  }
}

function Lines({ panel, scene, width, height, frames }: Shown & { frames: DataFrame[] }) {
  const [from, to] = [dateTime(scene.from * 1000), dateTime(scene.to * 1000)];
  return (
    <TimeSeries
      frames={frames}
      width={width}
      height={height}
      timeRange={{ from, to, raw: { from, to } }}
      timeZone="utc"
      legend={panel.options.legend}
    />
  );
}

type Sized = (frame: DataFrame, width: number, height: number) => React.ReactNode;

// As Grafana has it, values of the orientation "horizontal" are as wide as the panel, one below the other.
function Row({ frames, width, height, draw, stacked }: { frames: DataFrame[]; width: number; height: number; draw: Sized; stacked?: boolean }) {
  const each = (stacked ? height : width) / frames.length - 4;
  return (
    <div style={{ display: 'flex', flexDirection: stacked ? 'column' : 'row', width, height, gap: 4 }}>
      {frames.map((frame, index) => (
        <div key={index}>{stacked ? draw(frame, width, each) : draw(frame, each, height)}</div>
      ))}
    </div>
  );
}

// Values beside one another have one size of letters.
function alignmentOf(frames: DataFrame[]) {
  const shown = frames.map((frame) => ({ ...frame.fields[1].display!(lastOf(frame.fields[1])), title: frame.fields[1].state?.displayName ?? '' }));
  return getDisplayValueAlignmentFactors(shown.map((display) => ({ display }) as any));
}

function big(panel: Panel, frame: DataFrame, width: number, height: number, alignment: ReturnType<typeof alignmentOf>) {
  const [time, field] = frame.fields;
  const value = field.display!(lastOf(field));
  const hasName = panel.options.textMode !== 'value';
  return (
    <BigValue
      value={{ ...value, title: hasName ? field.state?.displayName ?? undefined : undefined }}
      width={width}
      height={height}
      theme={theme}
      colorMode={panel.options.colorMode as BigValueColorMode}
      graphMode={panel.options.graphMode as BigValueGraphMode}
      justifyMode={BigValueJustifyMode.Auto}
      alignmentFactors={alignment}
      text={panel.options.text}
      textMode={panel.options.textMode as BigValueTextMode}
      sparkline={panel.options.graphMode === 'area' ? { x: time, y: field } : undefined}
    />
  );
}

// Grafana's gauge is not exported by the package: this one stands in for it, with the package's own value and colour.
function round(frame: DataFrame, width: number, height: number) {
  const field = frame.fields[1];
  const value = field.display!(lastOf(field));
  const radius = Math.min(width / 2.4, height * 0.68) - 8;
  const share = Math.min(1, Math.max(0, value.percent ?? 0));
  const arc = (part: number) => {
    const [x, y] = [Math.cos(Math.PI * (1 - part)) * radius, -Math.sin(Math.PI * (1 - part)) * radius];
    return `M ${-radius} 0 A ${radius} ${radius} 0 0 1 ${x} ${y}`;
  };
  return (
    <svg width={width} height={height} viewBox={`${-width / 2} ${-height * 0.8} ${width} ${height}`} fill="none" strokeWidth={radius * 0.3}>
      <path d={arc(1)} stroke="#22252b" />
      <path d={arc(share)} stroke={value.color} />
      <text fill={value.color} fontSize={radius * 0.4} textAnchor="middle" y={-4}>{`${value.text}${value.suffix ?? ''}`}</text>
    </svg>
  );
}

function Bars({ panel, frames, width, height }: { panel: Panel; frames: DataFrame[]; width: number; height: number }) {
  const each = Math.min(height / frames.length, 60);
  const top = Math.max(...frames.map((frame) => lastOf(frame.fields[1])));
  const alignment = alignmentOf(frames);
  return (
    <>
      {frames.map((frame, index) => {
        const field = frame.fields[1];
        const config = { ...field.config, min: 0, max: field.config.max ?? top };
        return (
          <BarGauge
            key={index}
            theme={theme}
            width={width}
            height={each - 6}
            field={config}
            display={field.display}
            value={{ ...field.display!(lastOf(field)), title: field.state?.displayName ?? '' }}
            orientation={VizOrientation.Horizontal}
            displayMode={BarGaugeDisplayMode.Basic}
            valueDisplayMode={BarGaugeValueMode.Color}
            alignmentFactors={alignment}
            namePlacement={panel.options.namePlacement}
          />
        );
      })}
    </>
  );
}

// Grafana keeps its heatmap in its core: this one stands in for it.
function Heat({ panel, answers, scene, width, height }: Shown) {
  const bounds = answers.flat().map((series) => ({ le: Number(series.metric.le.replace('+Inf', 'Infinity')), series }));
  bounds.sort((a, b) => a.le - b.le);
  const format = getValueFormat(panel.fieldConfig.defaults.unit);
  const times = [...new Set(bounds.flatMap(({ series }) => series.values.map(([at]) => at)))].sort((a, b) => a - b);
  const at = new Map(bounds.map(({ le, series }) => [le, new Map(series.values.map(([t, v]) => [t, Number(v)]))]));
  const left = 64, bottom = 20, w = (width - left) / Math.max(times.length, 1), h = (height - bottom) / bounds.length;
  const count = (row: number, t: number) =>
    (at.get(bounds[row].le)!.get(t) ?? 0) - (row ? at.get(bounds[row - 1].le)!.get(t) ?? 0 : 0);
  const most = Math.max(1e-9, ...bounds.flatMap((_, row) => times.map((t) => count(row, t))));
  return (
    <svg width={width} height={height}>
      {bounds.map(({ le }, row) => (
        <g key={le}>
          {times.map((t, column) => {
            const share = Math.max(0, count(row, t) / most) ** 0.5;
            return share > 0.02 ? (
              <rect key={t} x={left + column * w} y={height - bottom - (row + 1) * h} width={w - 0.5} height={h - 1} fill={`hsl(${40 - 30 * share} 90% ${75 - 40 * share}%)`} />
            ) : null;
          })}
          <text x={left - 6} y={height - bottom - (row + 0.35) * h} fill="#ccccdc" fontSize="11" textAnchor="end">
            {le === Infinity ? '+Inf' : (({ text, suffix }) => `${text}${suffix ?? ''}`)(format(le))}
          </text>
        </g>
      ))}
      <text x={left} y={height - 4} fill="#8e8e99" fontSize="11">{new Date(scene.from * 1000).toISOString().slice(11, 19)}</text>
      <text x={width} y={height - 4} fill="#8e8e99" fontSize="11" textAnchor="end">{new Date(scene.to * 1000).toISOString().slice(11, 19)}</text>
    </svg>
  );
}

function Board({ scene }: { scene: Scene }) {
  const bottom = Math.max(...scene.dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  return (
    <>
      <h1>{scene.dashboard.title}</h1>
      <div id="board" style={{ width: COLUMN * 24, height: bottom * LINE + 8 }}>
        {scene.dashboard.panels.map((panel) => {
          const { x, y, w, h } = panel.gridPos;
          const box = { left: x * COLUMN, top: y * LINE, width: w * COLUMN - GAP, height: h * LINE - GAP };
          return (
            <div className="cell" key={panel.id} style={box}>
              {panel.type === 'row' ? (
                <div className="heading">⌄ {panel.title}</div>
              ) : (
                <PanelChrome title={panel.title} description={panel.description} width={box.width} height={box.height}>
                  {(width, height) => <Body panel={panel} answers={scene.answers[panel.id]} scene={scene} width={width} height={height} />}
                </PanelChrome>
              )}
            </div>
          );
        })}
      </div>
    </>
  );
}

const answer = await fetch(new URLSearchParams(location.search).get('scene')!);
const scene: Scene = await answer.json();
await document.fonts.ready;
await Promise.all(['400 14px Inter', '500 14px Inter'].map((font) => document.fonts.load(font)));
createRoot(document.getElementById('root')!).render(
  <ThemeContext.Provider value={theme}>
    <Board scene={scene} />
  </ThemeContext.Provider>
);
requestAnimationFrame(() => setTimeout(() => document.body.setAttribute('data-drawn', 'yes'), 500));
