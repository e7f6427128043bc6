"""Which exemplar is shown, and with which labels."""

from __future__ import annotations

from collections.abc import Iterable

from otel_obs.cells.snapshot import Exemplar
from otel_obs.exposition.names import Labels, Spelling, join_labels

MAX_RUNES = 128
"""How long the names and values of an exemplar's labels may be together, by OpenMetrics 1.0."""


def exemplar_to_show(exemplars: Iterable[Exemplar]) -> Exemplar:
    """The exemplar to show for a series that can have only one."""
    return max(exemplars, key=_unix_s)


def latest_by_bucket(exemplars: Iterable[Exemplar]) -> dict[int, Exemplar]:
    """The exemplar to show for each bucket of a histogram, without buckets that have none."""
    shown: dict[int, Exemplar] = {}
    for exemplar in sorted(exemplars, key=_unix_s):
        shown[exemplar.bucket] = exemplar
    return shown


def exemplar_labels(exemplar: Exemplar, naming: Spelling) -> Labels:
    """The ids of the trace and the span, then those of the filtered attributes for which there is room."""
    shown: list[tuple[str, str]] = []
    room = MAX_RUNES
    for name, value in (*_ids(exemplar), *join_labels(exemplar.attributes, naming)):
        runes = len(name) + len(value)
        if runes <= room and all(name != taken for taken, _ in shown):
            shown.append((name, value))
            room -= runes
    return tuple(shown)


def _ids(exemplar: Exemplar) -> Labels:
    ids = (("trace_id", exemplar.trace_id), ("span_id", exemplar.span_id))
    return tuple((name, value) for name, value in ids if value)


def _unix_s(exemplar: Exemplar) -> float:
    return exemplar.unix_s
