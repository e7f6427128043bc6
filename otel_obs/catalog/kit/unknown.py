"""Names in a service's settings that no metric has: without a warning they would silently have no effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from otel_obs.catalog import metrics
from otel_obs.catalog.kit.metric import declared
from otel_obs.catalog.kit.naming import Naming
from otel_obs.cells.stream import Kind
from otel_obs.errors import name_without_effect
from otel_obs.settings import Settings
from otel_obs.settings.parsers import nearest


def names_without_effect(settings: Settings) -> Iterator[str]:
    """A line for each name in `OTEL_OBS_NAMES`, `_LABELS` and `_BUCKETS` that no metric here has."""
    if not (settings.names or settings.labels or settings.buckets):
        return
    list(metrics())  # every group of the catalog, whether it was used yet or not
    naming = Naming.from_settings(settings)
    rows = [metric.declaration for metric in declared]
    labels = {name for row in rows for key in row.attributes for name in (key, *naming.apply(row).labels)}
    families = {name for row in rows for name in naming.names_of(row)}
    histograms = {
        name
        for row in rows
        if naming.apply(row).kind is Kind.HISTOGRAM
        for name in (*naming.names_of(row), naming.apply(row).family)
    }
    yield from _lines("OTEL_OBS_NAMES", (old for old, _ in settings.names), families, "family")
    yield from _lines("OTEL_OBS_LABELS", (old for old, _ in settings.labels), labels, "label")
    yield from _lines("OTEL_OBS_BUCKETS", (name for name, _ in settings.buckets), histograms, "histogram")


def _lines(variable: str, given: Iterable[str], known: set[str], what: str) -> Iterator[str]:
    for name in given:
        if name not in known:
            yield name_without_effect(variable, name, what, nearest(name[:200], known))
