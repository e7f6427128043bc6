"""The numbers of all workers as families of `prometheus_client`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate
from math import inf
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar as ClientExemplar
from prometheus_client.samples import Sample

from otel_obs.cells.attributes import Attributes, canonical
from otel_obs.cells.exemplar import labels_of
from otel_obs.cells.layout import Kind, Stream
from otel_obs.cells.snapshot import Column, Exemplar, SeriesTable, Snapshot
from otel_obs.exposition.from_client import OURS
from otel_obs.exposition.lexical import number
from otel_obs.exposition.names import Spelling, join_labels, unit_word
from otel_obs.exposition.plan import Options
from otel_obs.exposition.to_client import to_prometheus_client
from otel_obs.prometheus import _service
from otel_obs.prometheus._binding import PER_WORKER, PID, SCOPE, TYPE_KEY
from otel_obs.prometheus._inventory import ask_now, remove_collected


class SeriesNumbers:
    """The numbers of one metric, merged over all workers, by series."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._found = {
            attributes: value
            for column in columns
            for attributes, value in zip(column.table.attributes, column.values, strict=True)
        }

    def attributes(self) -> list[dict[str, Any]]:
        """The attributes of every series of every worker."""
        return [dict(attributes) for attributes in self._found]

    def number(self, series: Any, at: int) -> float:
        """One number of a series; this process's own if the series is not in the snapshot."""
        value = self._found.get(canonical(series.attributes))
        if value is None:
            return float(series.number(at))
        return float(value[at] if isinstance(value, Sequence) else value)


_ALONE = "without the label of the worker"
_OPTIONS = Options(has_target_info=False)
_TYPES = {
    Kind.COUNTER: "counter",
    Kind.UPDOWN: "gauge",
    Kind.GAUGE: "gauge",
    Kind.HISTOGRAM: "histogram",
}

FamilyColumns = dict[Stream, Column]

_reading: ContextVar[FamilyColumns | None] = ContextVar("otel_obs.prometheus.reading", default=None)


def read() -> FamilyColumns:
    """The columns of every worker, by stream: as of now, or of the enclosing `one_reading`."""
    under_way = _reading.get()
    if under_way is not None:
        return under_way
    remove_collected()
    service = _service.current()
    ask_now(service)
    return {column.table.stream: column for column in service.snapshot().columns}


@contextmanager
def one_reading() -> Iterator[FamilyColumns]:
    """Make every `read` inside return the same snapshot."""
    columns = read()
    with reading_columns(columns):
        yield columns


@contextmanager
def reading_columns(columns: FamilyColumns) -> Iterator[None]:
    """Make every `read` inside return *columns*."""
    token = _reading.set(columns)
    try:
        yield
    finally:
        _reading.reset(token)


def is_ours(stream: Stream) -> bool:
    """Whether *stream* is that of a metric of this package, in any worker."""
    return stream.scope.name == SCOPE


def type_of(stream: Stream) -> str:
    """The metric type, as `prometheus_client` names it."""
    declared = str(dict(stream.scope.attributes).get(TYPE_KEY, ""))
    # A view may have given it another kind.
    is_fitting = stream.kind is (Kind.HISTOGRAM if declared == "summary" else Kind.GAUGE)
    return declared if declared and is_fitting else _TYPES.get(stream.kind, "histogram")


def family_of(stream: Stream) -> Metric:
    """The family of a metric, without samples."""
    kind = type_of(stream)
    name = stream.name.removesuffix("_info") if kind == "info" else stream.name
    return Metric(name, stream.description, kind, unit_word(stream.unit))


def families_of(column: Column, has_created: bool) -> list[Metric]:
    """The families of one column; this worker need not have the metric."""
    stream = column.table.stream
    if stream.kind not in _TYPES:  # a view has made it an exponential histogram
        families = list(to_prometheus_client(Snapshot([column], 0, 0), _OPTIONS, has_created))
        for family in families:
            vars(family).pop(OURS)  # what the page has from elsewhere; this metric's it has from here alone
        return families
    family = family_of(stream)
    add_samples(family, column, has_created)
    return [family]


def add_samples(family: Metric, column: Column, has_created: bool, label_names: Sequence[str] = ()) -> None:
    """Add the samples of *column* to *family*, in the order of `prometheus_client`.

    Args:
        family: The family, without samples.
        column: All its series.
        has_created: Whether series get a `_created` sample.
        label_names: The labels that come first, in this order.
    """
    table = column.table
    samples_of = _SAMPLES[family.type](family.name, table.stream.bounds)
    created = f"{family.name}_created" if has_created and family.type in _WITH_CREATED else ""
    samples = family.samples
    for at, (attributes, value) in enumerate(zip(table.attributes, column.values, strict=True)):
        labels = _labels(attributes, label_names)
        samples.extend(samples_of(labels, value, column.exemplars.get(at, ())))
        if created:
            samples.append(Sample(created, labels, table.created_s[at]))


def own_value(handle: Any, stream: Stream) -> Any:
    """What this process has counted of a series, as a column of *stream* holds it."""
    cells, offset = handle._cells, handle._offset
    if stream.kind is Kind.HISTOGRAM:
        width = len(stream.bounds) + 2
        return [0.0] * width if cells is None else list(cells[offset : offset + width])
    return handle._first if cells is None else cells[offset]


def only_of(labels: Mapping[str, str], families: Iterable[Metric]) -> list[Metric]:
    """Only the samples with *labels*, and these without them, as `prometheus_client` collects one series."""
    chosen = list(families)
    for family in chosen:
        family.samples = [
            sample._replace(labels={name: text for name, text in sample.labels.items() if name not in labels})
            for sample in family.samples
            if labels.items() <= sample.labels.items()
        ]
    return chosen


def without_worker(column: Column) -> Column:
    """Drop the label `pid` if all series are of one worker, as `prometheus_client` does in one process."""
    table = column.table
    if table.stream.merge != PER_WORKER or not is_ours(table.stream):
        return column
    # `scratch` lives as long as the table: a scrape that finds the same series does not compare them again.
    # None says that there are several workers; *column* stands for "not looked yet".
    bare = table.scratch.get(_ALONE, column)
    if bare is column:
        bare = table.scratch[_ALONE] = _without_worker(table)
    return column if bare is None else column._replace(table=bare)


def _without_worker(table: SeriesTable) -> SeriesTable | None:
    if len({value for each in table.attributes for key, value in each if key == PID}) > 1:
        return None
    attributes: list[Attributes] = [
        tuple(pair for pair in each if pair[0] != PID) for each in table.attributes
    ]
    return SeriesTable(table.stream, attributes, table.created_s)


def _labels(attributes: Attributes, names: Sequence[str]) -> dict[str, str]:
    """The labels of a series, those in *names* first."""
    labels: dict[str, Any] = dict(attributes)
    # Only the overflow series has a value that is no string, and none of the declared labels.
    if any(type(value) is not str for value in labels.values()):
        return dict(join_labels(attributes, Spelling()))
    return {**{name: labels[name] for name in names}, **labels}


def _exemplar(exemplars: Iterable[Exemplar], bucket: int) -> ClientExemplar | None:
    for exemplar in exemplars:
        if exemplar.bucket == bucket:
            return ClientExemplar(labels_of(exemplar), exemplar.value, exemplar.unix_s)
    return None


_Samples = Callable[[dict[str, str], Any, Iterable[Exemplar]], list[Sample]]


def _counter(name: str, bounds: tuple[float, ...]) -> _Samples:
    total = f"{name}_total"

    def samples(labels: dict[str, str], value: float, exemplars: Iterable[Exemplar]) -> list[Sample]:
        return [Sample(total, labels, value, None, _exemplar(exemplars, 0))]

    return samples


def _scalar(name: str, bounds: tuple[float, ...]) -> _Samples:
    return lambda labels, value, exemplars: [Sample(name, labels, value)]


def _info(name: str, bounds: tuple[float, ...]) -> _Samples:
    return _scalar(f"{name}_info", bounds)


def _summary(name: str, bounds: tuple[float, ...]) -> _Samples:
    count, total = f"{name}_count", f"{name}_sum"

    def samples(labels: dict[str, str], row: Sequence[float], exemplars: Iterable[Exemplar]) -> list[Sample]:
        return [Sample(count, labels, sum(row[:-1])), Sample(total, labels, row[-1])]

    return samples


def _histogram(name: str, bounds: tuple[float, ...]) -> _Samples:
    bucket, count, total = f"{name}_bucket", f"{name}_count", f"{name}_sum"
    les = [number(bound) for bound in (*bounds, inf)]
    # With negative observations the sum may fall, so it is no counter: `prometheus_client` leaves it out too.
    has_sum = (*bounds, inf)[0] >= 0

    def samples(labels: dict[str, str], row: Sequence[float], exemplars: Iterable[Exemplar]) -> list[Sample]:
        counts = list(accumulate(row[:-1]))
        found = [
            Sample(bucket, {**labels, "le": le}, below, None, _exemplar(exemplars, at))
            for at, (le, below) in enumerate(zip(les, counts, strict=True))
        ]
        found.append(Sample(count, labels, counts[-1]))
        if has_sum:
            found.append(Sample(total, labels, row[-1]))
        return found

    return samples


_WITH_CREATED = ("counter", "summary", "histogram")
_SAMPLES: dict[str, Callable[[str, tuple[float, ...]], _Samples]] = {
    "counter": _counter,
    "gauge": _scalar,
    "stateset": _scalar,
    "info": _info,
    "summary": _summary,
    "histogram": _histogram,
}
