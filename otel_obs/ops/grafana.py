"""Classic dashboards with Grafana's own builder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge, gauge, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as dashboard_models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as queries

from otel_obs.catalog.kit.naming import Naming
from otel_obs.ops.dashboards import Placed, panel_id, said
from otel_obs.ops.panels.panel import BLUE, GREEN, Curve, Panel
from otel_obs.ops.promql import Dialect

# Typed as Any: the package's annotations declare members of its enumerations as plain strings.
common: Any = common_builders
shared: Any = common_models
heatmaps: Any = heatmap_models
models: Any = dashboard_models

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_KINDS: dict[str, Any] = {
    "timeseries": timeseries.Panel,
    "stat": stat.Panel,
    "gauge": gauge.Panel,
    "bargauge": bargauge.Panel,
    "alerts": stat.Panel,
    "heatmap": heatmap.Panel,
}
_LAST = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def dashboard_json(
    uid: str, title: str, job: str, placed: Sequence[Placed], language: str, naming: Naming
) -> str:
    """The JSON of a dashboard."""
    board = (
        boards.Dashboard(title)
        .uid(uid)
        .tags(["otel-obs", job])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .with_variable(boards.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_variable("job", "label_values(otel_obs_workers, job)", "Job"))
        .with_variable(
            _variable("instance", 'label_values(otel_obs_workers{job=~"$job"}, instance)', "Instance")
        )
    )
    heading = 0
    for each in placed:
        if each.panel is None:
            heading += 1
            row = boards.Row(each.title).id(panel_id(f"row-{uid}-{heading}")).grid_pos(_grid(each))
            board.with_row(row)
        else:
            board.with_panel(_panel(each.panel, each, language, naming))
    return JSONEncoder(sort_keys=False).encode(board.build())


def _grid(each: Placed) -> Any:
    return models.GridPos(h=each.height, w=each.width, x=each.x, y=each.y)


def _variable(name: str, query: str, label: str) -> Any:
    return (
        boards.QueryVariable(name)
        .label(label)
        .query({"query": query, "refId": f"{name}-values"})
        .datasource(SOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(models.VariableOption(text="All", value="$__all"))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel, each: Placed, language: str, naming: Naming) -> Any:
    caption = getattr(panel, language)
    made = (
        _KINDS[panel.kind]()
        .title(caption.title)
        .id(panel_id(panel.slug))
        .description(caption.description)
        .grid_pos(_grid(each))
        .datasource(SOURCE)
        .unit(panel.unit)
        .targets([_target(curve, index, panel, naming) for index, curve in enumerate(panel.curves)])
    )
    if panel.kind == "heatmap":
        return _heatmap(made, panel)
    made.thresholds(_thresholds(panel))
    for value, set_value in ((panel.low, made.min), (panel.high, made.max), (panel.decimals, made.decimals)):
        if value is not None:
            set_value(value)
    if panel.values:
        made.mappings([_words(panel)])
    for pattern, colour in panel.colours:
        shades = {"mode": "shades", "fixedColor": colour}
        made.override_by_regexp(pattern, [models.DynamicConfigValue(id_val="color", value=shades)])
    return _SHAPES[panel.kind](made, panel)


def _target(curve: Curve, index: int, panel: Panel, naming: Naming) -> Any:
    is_now = panel.kind in ("gauge", "bargauge", "alerts")
    target = (
        prometheus.Dataquery()
        .expr(said(curve.expr, naming))
        .ref_id(chr(ord("A") + index))
        .datasource(SOURCE)
        .legend_format(Dialect(naming).legend(curve.legend, curve.expr) or "__auto")
        .exemplar(curve.has_exemplars)
    )
    if panel.kind == "heatmap":
        target.format(queries.PromQueryFormat.HEATMAP)
    return target.instant() if is_now else target.range()


def _thresholds(panel: Panel) -> Any:
    steps = panel.steps or ((None, BLUE if panel.kind == "stat" else GREEN),)
    return (
        boards.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


def _words(panel: Panel) -> Any:
    return models.ValueMap(
        options={
            f"{value:g}": models.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, text, color) in enumerate(panel.values)
        }
    )


def _timeseries(made: Any, panel: Panel) -> Any:
    made.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(shared.LegendDisplayMode.LIST)
        .placement(shared.LegendPlacement.BOTTOM)
        .calcs([])
    )
    made.tooltip(
        common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI).sort(shared.SortOrder.DESCENDING)
    )
    if panel.soft_high is not None:
        made.axis_soft_max(panel.soft_high)
    if panel.low is None:
        made.axis_soft_min(0)
    made.line_width(1).fill_opacity(25 if panel.is_stacked else 8).show_points(shared.VisibilityMode.NEVER)
    made.span_nulls(False)
    if panel.is_stacked:
        made.stacking(common.StackingConfig().mode(shared.StackingMode.NORMAL).group("A"))
    if panel.steps:
        made.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(shared.GraphThresholdsStyleMode.DASHED)
        )
    return made


def _stat(made: Any, panel: Panel) -> Any:
    has_colour = bool(panel.steps or panel.values)
    made.reduce_options(_LAST)
    has_course = panel.has_course and not panel.values
    made.graph_mode(shared.BigValueGraphMode.AREA if has_course else shared.BigValueGraphMode.NONE)
    return made.color_mode(
        shared.BigValueColorMode.BACKGROUND if has_colour else shared.BigValueColorMode.VALUE
    ).text_mode(
        shared.BigValueTextMode.VALUE_AND_NAME
        if any(curve.legend for curve in panel.curves)
        else shared.BigValueTextMode.VALUE
    )


def _gauge(made: Any, panel: Panel) -> Any:
    return made.reduce_options(_LAST).show_threshold_markers(True)


def _bargauge(made: Any, panel: Panel) -> Any:
    return (
        made.reduce_options(_LAST)
        .orientation(shared.VizOrientation.HORIZONTAL)
        .display_mode(shared.BarGaugeDisplayMode.BASIC)
        .name_placement(shared.BarGaugeNamePlacement.TOP)
    )


def _alerts(made: Any, panel: Panel) -> Any:
    return (
        made.reduce_options(_LAST)
        .graph_mode(shared.BigValueGraphMode.NONE)
        .color_mode(shared.BigValueColorMode.BACKGROUND)
        .text_mode(shared.BigValueTextMode.NAME)
        .orientation(shared.VizOrientation.HORIZONTAL)
        .text(common.VizTextDisplayOptions().value_size(16))
    )


_SHAPES: dict[str, Any] = {
    "timeseries": _timeseries,
    "stat": _stat,
    "gauge": _gauge,
    "bargauge": _bargauge,
    "alerts": _alerts,
}


def _heatmap(made: Any, panel: Panel) -> Any:
    return (
        made.calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit).axis_placement(shared.AxisPlacement.LEFT))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmaps.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
            .exponent(0.5)
            .reverse(False)
        )
        .cell_gap(1)
        .show_legend()
        .exemplars_color("rgba(255,0,255,0.7)")
    )
