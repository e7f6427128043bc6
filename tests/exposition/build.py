"""Snapshots for tests, written as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind, Scope, Stream
from otel_obs.cells.snapshot import Column, Exemplar, SeriesTable, Snapshot
from otel_obs.exposition import DEFAULT_OPTIONS, TEXT, Format, Options, render

SCOPE = Scope("shop", "1.2")
CREATED_S = 1700000000.5
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"


def column(
    kind: Kind,
    name: str,
    rows: Iterable[tuple[Mapping[str, Any], Any]],
    *,
    unit: str = "",
    description: str = "",
    bounds: Sequence[float] = (),
    scope: Scope = SCOPE,
    created_s: float = CREATED_S,
    exemplars: Mapping[int, list[Exemplar]] | None = None,
) -> Column:
    """One stream; a row is the attributes and the value of a series."""
    rows = list(rows)
    stream = Stream(kind, name, unit, description, scope, tuple(bounds))
    table = SeriesTable(stream, [canonical(row[0]) for row in rows], [created_s] * len(rows))
    return Column(table, [row[1] for row in rows], dict(exemplars or {}))


def counter(name: str, rows: Iterable[tuple[Mapping[str, Any], float]], **more: Any) -> Column:
    return column(Kind.COUNTER, name, rows, **more)


def gauge(name: str, rows: Iterable[tuple[Mapping[str, Any], float]], **more: Any) -> Column:
    return column(Kind.GAUGE, name, rows, **more)


def histogram(
    name: str, bounds: Sequence[float], rows: Iterable[tuple[Mapping[str, Any], Sequence[float]]], **more: Any
) -> Column:
    """A row's value is its bucket counts, not cumulative, and then its sum."""
    return column(Kind.HISTOGRAM, name, rows, bounds=bounds, **more)


def exponential(name: str, rows: Iterable[tuple[Mapping[str, Any], Any]], **more: Any) -> Column:
    return column(Kind.EXPONENTIAL, name, rows, bounds=(160,), **more)


def exemplar(bucket: int, value: float, unix_s: float, **attributes: Any) -> Exemplar:
    return Exemplar(bucket, value, unix_s, TRACE_ID, SPAN_ID, canonical(attributes))


def snapshot(*columns: Column) -> Snapshot:
    return Snapshot(list(columns), 1, 0)


def rendered(
    columns: Column | Iterable[Column],
    format: Format = TEXT,
    options: Options = DEFAULT_OPTIONS,
    others: Iterable[Any] = (),
    names: Sequence[str] | None = None,
) -> bytes:
    """The whole exposition of *columns*."""
    columns = [columns] if isinstance(columns, Column) else columns
    return b"".join(render(snapshot(*columns), format, options, others, names))


def one_of_each(attributes: dict[str, Any], timed: Sequence[Exemplar]) -> list[Column]:
    """A counter and a gauge with exemplars, and a histogram of one series with the exemplars *timed*."""
    return [
        counter(
            "http_requests",
            [({"method": "GET"}, 5.0), ({"method": "PUT"}, 1.0)],
            description='Total "HTTP" requests',
            exemplars={0: [exemplar(0, 1.0, 1700000001.25), exemplar(0, 2.0, 1700000002.5, user="u")]},
        ),
        histogram(
            "http_request_duration",
            (0.5, 1),
            [(attributes, [1.0, 2.0, 0.0, 2.5])],
            unit="s",
            exemplars={0: list(timed)},
        ),
        gauge("temperature", [({}, -3.5)], unit="Cel", exemplars={0: [exemplar(0, 1.0, 1.0)]}),
    ]
