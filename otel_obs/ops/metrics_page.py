"""docs/metrics.md, from the rows of the catalog."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import groupby
from operator import itemgetter
from types import ModuleType

from otel_obs.catalog import metrics
from otel_obs.catalog.naming import Declaration, Naming
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

"Over workers" says what a scrape shows where several workers have the series. Counters and histograms are
summed, those of workers that have died included; the gauges of a worker go with it.
"""

_KINDS = {
    Kind.COUNTER: "counter",
    Kind.UPDOWN: "gauge (up and down)",
    Kind.GAUGE: "gauge",
    Kind.HISTOGRAM: "histogram",
}
_RULES = {
    "latest": "the latest",
    "sum": "the sum",
    "max": "the largest",
    "min": "the smallest",
    "mean": "the mean",
    "per_worker": "each, with the label `worker`",
}
_TITLES = {"http": "HTTP", "llm": "LLM", "api_keys": "API keys"}
_CLASSIC, _SEMCONV = Naming(), Naming(profile="semconv")


def metrics_page() -> str:
    """The whole page."""
    groups = groupby(metrics(), itemgetter(0))
    return _HEAD + "".join(_group(name, [metric.declaration for _, metric in rows]) for name, rows in groups)


def _group(name: str, rows: list[Declaration]) -> str:
    module = import_module(f"otel_obs.catalog.{name}")
    title = _TITLES.get(name, name.capitalize())
    functions = "".join(
        _function(function) for function in vars(module).values() if _is_public(function, module)
    )
    lines = "".join(line for row in rows for line in _row(row))
    return f"\n## {title}\n\n{_first_line(module)}\n\n{functions}{lines}".rstrip() + "\n"


def _is_public(function: object, module: ModuleType) -> bool:
    return inspect.isfunction(function) and function.__name__ in module.__all__


def _function(function: Callable[..., object]) -> str:
    signature = inspect.signature(function)
    parameters = ", ".join(
        name if each.default is each.empty else f"{name}={each.default!r}"
        for name, each in signature.parameters.items()
    )
    return f"`{function.__name__}({parameters})`: {_first_line(function)}\n\n"


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _row(row: Declaration) -> Iterator[str]:
    """A heading and a list of what is not the default."""
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
        yield f"- semconv profile: `{other.sample}{labels}`\n"
    yield "\n"


def _rule(row: Declaration) -> str:
    if row.share:
        return f"`{row.share[0].family}` / ({' + '.join(f'`{part.family}`' for part in row.share)})"
    rule, _, states = row.merge.partition(":")
    if rule == "worst":
        return f"the worst, in the order {', '.join(states.split(','))}"
    return _RULES[rule]
