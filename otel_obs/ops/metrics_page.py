"""Generates docs/metrics.md from the rows of the catalog."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from itertools import groupby
from operator import itemgetter
from types import ModuleType

from otel_obs.catalog import metrics
from otel_obs.catalog.kit.naming import Declaration, Naming
from otel_obs.cells.gauge_rules import GAUGE_RULES
from otel_obs.cells.layout import Kind
from otel_obs.exposition.names import unit_word

_HEAD = """\
# Metrics

Every metric that otel-obs defines, under the names of the classic profile. A family appears once there is
something to show. Each is importable by its name, and is recorded in both manners:

```python
from otel_obs.catalog import errors_total

errors_total.add(1, {"error_type": "timeout", "component": "retrieval"})
errors_total.labels(error_type="timeout", component="retrieval").inc()
```

A block or a call is timed with `otel_obs.Timer(metric, labels)` and `@otel_obs.track_time(metric, labels)`,
the labels given or made from the arguments of the call. In a scrape, labels stand by name; with
`OTEL_OBS_LABEL_ORDER=declared` they stand as here.

"Over workers" says what a scrape shows where several workers have the series. Counters and histograms are
summed, those of workers that have died included; the gauges of a worker go with it.
"""

_TAIL = """
## otel-obs itself

What it says of itself, under these names whatever the namespace and the profile.

| family | |
|---|---|
| `otel_obs_workers` | live workers, each from when it has [joined](learn/workers.md) |
| `otel_obs_series` | series that are exposed, over all workers |
| `otel_obs_worker_files_skipped_total` | files of workers that could not be read, or not to their end |
| `otel_obs_scrape_duration_seconds` | histogram of what collecting and encoding a scrape took |
| `otel_obs_dropped_measurements_total{reason}` | measurements that were not recorded |
| `otel_obs_series_overflow_total{instrument}` | measurements beyond an instrument's limit of series |
| `target_info` | the attributes of the service's resource |

`reason` is `attributes` for labels that are not declared or not allowed, `negative`, `not_finite`,
`not_a_number`, `secret`, `state`, `callback`, `full` where no space is left, or `error`. The log has the
first measurement of each kind.
"""

_BLOCKS: Mapping[str, tuple[str, ...]] = {
    "dialogue": ("session", "turn", "completion"),
    "llm": ("call", "set_prices"),
    "api_keys": ("api_key",),
    "pipeline": ("retrieval", "scoring", "evidence", "end_session"),
    "agent": ("run",),
    "workflow": ("run",),
    "context": ("size",),
    "database": ("query", "observe_engine"),
}
"""The functions of a group that are called through its module: `from otel_obs.catalog import llm`."""

_KINDS = {
    Kind.COUNTER: "counter",
    Kind.UPDOWN: "gauge (up and down)",
    Kind.GAUGE: "gauge",
    Kind.HISTOGRAM: "histogram",
}
_TITLES = {"http": "HTTP", "llm": "LLM", "api_keys": "API keys"}
_CLASSIC, _SEMCONV = Naming(), Naming(profile="semconv")


def metrics_page() -> str:
    """The whole page."""
    groups = groupby(metrics(), itemgetter(0))
    pages = (_group(name, [metric.declaration for _, metric in rows]) for name, rows in groups)
    return _HEAD + "".join(pages) + _TAIL


def _group(name: str, rows: list[Declaration]) -> str:
    module = import_module(f"otel_obs.catalog.{name}")
    title = _TITLES.get(name, name.capitalize())
    functions = "".join(
        _function(function) for function in vars(module).values() if _is_public(function, module)
    )
    functions += "".join(_function(getattr(module, block), f"{name}.") for block in _BLOCKS.get(name, ()))
    lines = "".join(line for row in rows for line in _row(row))
    return f"\n## {title}\n\n{_first_line(module)}\n\n{functions}{lines}".rstrip() + "\n"


def _is_public(function: object, module: ModuleType) -> bool:
    return inspect.isfunction(function) and function.__name__ in module.__all__


def _function(function: Callable[..., object], prefix: str = "") -> str:
    signature = inspect.signature(function)
    parameters = ", ".join(
        name if each.default is each.empty else f"{name}={each.default!r}"
        for name, each in signature.parameters.items()
    )
    return f"`{prefix}{function.__name__}({parameters})`: {_first_line(function)}\n\n"


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _row(row: Declaration) -> Iterator[str]:
    """A heading, and a list of the properties that are not the default."""
    named = _CLASSIC.apply(row)
    yield (
        f"### `{named.family}{{{','.join(named.labels)}}}`\n\n"
        if named.labels
        else f"### `{named.family}`\n\n"
    )
    yield f"{row.help.rstrip('.')}.\n\n"
    unit = unit_word(row.unit)
    yield f"- {_KINDS[row.kind]}{f', in {unit}' if unit else ''}\n"
    for key, allowed in row.attributes.items():
        if allowed:
            yield f"- `{key}`: {', '.join(f'`{value}`' for value in allowed)}\n"
    if row.bounds:
        yield f"- buckets: {' '.join(f'{bound:.10g}' for bound in row.bounds)}\n"
    if row.kind is Kind.GAUGE:
        yield f"- over workers: {_rule(row)}\n"
    if row.semconv is not None:
        other = _SEMCONV.apply(row)
        labels = f"{{{','.join(other.labels)}}}" if other.labels else ""
        yield f"- semconv profile: `{other.sample}{labels}`{_renamed(row.semconv.values)}\n"
    yield "\n"


def _renamed(values: Mapping[str, Mapping[str, str]]) -> str:
    """The values of attributes that the conventions rename."""
    pairs = (pair for each in values.values() for pair in each.items())
    text = ", ".join(f"`{new}` for `{old}`" for old, new in pairs)
    return f"; {text}" if text else ""


def _rule(row: Declaration) -> str:
    if row.share:
        return f"`{row.share[0].family}` / ({' + '.join(f'`{part.family}`' for part in row.share)})"
    rule, _, states = row.merge.partition(":")
    if rule == "worst":
        return f"the worst, in the order {', '.join(states.split(','))}"
    return GAUGE_RULES[rule].says
