"""Series of one family in the form that encoders take, and the merging of series with equal labels."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import inf
from typing import Any, Generic, TypeVar

from otel_obs.cells.exponential import combine
from otel_obs.cells.gauge_rules import choice_of
from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import Exemplar
from otel_obs.cells.summation import add
from otel_obs.exposition.classic import boundaries, classic_row

T = TypeVar("T", bound=Hashable)

_MAX_SIZE = 160
_SUMS = (Kind.COUNTER, Kind.UPDOWN)


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """Series of one family that have the same shape: as a column, with encoded labels, none of them twice.

    `times` gives when each gauge was set, on a clock that all workers share; `merge` is its rule.
    """

    kind: Kind
    bounds: tuple[float, ...]
    labels: list[T]
    values: Sequence[Any]
    created_s: list[float]
    exemplars: dict[int, list[Exemplar]]
    merge: str = "latest"
    times: Callable[[], Sequence[float]] | None = None


@dataclass(frozen=True, slots=True)
class _One(Generic[T]):
    """One series of a part."""

    part: Part[T]
    at: int
    set_s: float

    @property
    def value(self) -> Any:
        return self.part.values[self.at]

    @property
    def created_s(self) -> float:
        return self.part.created_s[self.at]

    @property
    def exemplars(self) -> list[Exemplar]:
        return self.part.exemplars.get(self.at, [])


def classic(part: Part[T], unit: str) -> Part[T]:
    """Make classic histograms of the exponential ones in *part*, which are measured in *unit* (`seconds`)."""
    exponents = boundaries(unit)
    bounds = tuple(2.0**exponent for exponent in exponents)
    return replace(
        part,
        kind=Kind.HISTOGRAM,
        bounds=bounds,
        values=[classic_row(value, exponents) for value in part.values],
        exemplars={at: moved(some, bounds) for at, some in part.exemplars.items()},
    )


def united(found: Sequence[Part[T]], unit: str) -> list[Part[T]]:
    """Merge series that have the same labels: of duplicates, a scraper would keep one and drop the rest.

    Sums and histograms add up, gauges follow their rule over workers, and their time.
    """
    places: dict[T, list[_One[T]]] = {}
    for part in found:
        for at, (labels, set_s) in enumerate(zip(part.labels, _times(part), strict=True)):
            places.setdefault(labels, []).append(_One(part, at, set_s))
    result: dict[tuple[Kind, tuple[float, ...]], Part[T]] = {}
    for labels, ones in places.items():
        whole = _united(labels, ones, unit) if len(ones) > 1 else None
        source, at = (whole, 0) if whole is not None else (ones[0].part, ones[0].at)
        shape = source.kind, source.bounds
        target = result.get(shape)
        if target is None:
            empty: list[Any] = []
            target = result[shape] = replace(
                source, labels=[], values=empty, created_s=[], exemplars={}, times=None
            )
        assert isinstance(target.values, list)
        if source.exemplars.get(at):
            target.exemplars[len(target.labels)] = source.exemplars[at]
        target.labels.append(labels)
        target.values.append(source.values[at])
        target.created_s.append(source.created_s[at])
    return list(result.values())


def _times(part: Part[T]) -> Sequence[float]:
    """When each series was set; -inf for a sum, so that it never counts as the latest."""
    if part.kind is not Kind.GAUGE:
        return [-inf] * len(part.labels)
    return part.created_s if part.times is None else part.times()


def _united(labels: T, ones: Sequence[_One[T]], unit: str) -> Part[T]:
    kind, bounds, value = _value(ones, unit)
    exemplars = [exemplar for one in ones for exemplar in one.exemplars]
    if kind is Kind.HISTOGRAM:
        exemplars = moved(exemplars, bounds)
    created_s = min((one.created_s for one in ones if one.created_s > 0), default=0.0)
    return Part(kind, bounds, [labels], [value], [created_s], {0: exemplars} if exemplars else {})


def _value(ones: Sequence[_One[T]], unit: str) -> tuple[Kind, tuple[float, ...], Any]:
    first = ones[0].part
    kinds = {one.part.kind for one in ones}
    if kinds <= set(_SUMS):
        return first.kind, (), add(one.value for one in ones)
    if Kind.GAUGE in kinds:
        rule = next(one.part.merge for one in ones if one.part.kind is Kind.GAUGE)
        return Kind.GAUGE, (), choice_of(rule)([(one.set_s, one.value) for one in ones])
    if kinds == {Kind.EXPONENTIAL}:
        size = int(min((one.part.bounds[0] for one in ones if one.part.bounds), default=_MAX_SIZE))
        value = ones[0].value
        for one in ones[1:]:
            value = combine(value, one.value, size)
        return Kind.EXPONENTIAL, first.bounds, value
    return Kind.HISTOGRAM, *_histogram(ones, unit)


def _histogram(ones: Sequence[_One[T]], unit: str) -> tuple[tuple[float, ...], list[float]]:
    """Add up histograms at the bounds that all of them have: there, the counts are exact."""
    rows: list[tuple[tuple[float, ...], Sequence[float]]] = []
    for one in ones:
        if one.part.kind is Kind.EXPONENTIAL:
            exponents = boundaries(unit)
            rows.append((tuple(2.0**each for each in exponents), classic_row(one.value, exponents)))
        else:
            rows.append((one.part.bounds, one.value))
    bounds = tuple(sorted(set(rows[0][0]).intersection(*(bounds for bounds, _ in rows[1:]))))
    cumulative = [0.0] * (len(bounds) + 1)
    for own, row in rows:
        counts = dict(zip((*own, inf), accumulate(row[:-1]), strict=True))
        cumulative = [count + counts[bound] for count, bound in zip(cumulative, (*bounds, inf), strict=True)]
    buckets = [after - before for before, after in pairwise((0.0, *cumulative))]
    return bounds, [*buckets, add(row[-1] for _, row in rows)]


def moved(exemplars: Sequence[Exemplar], bounds: Sequence[float]) -> list[Exemplar]:
    """*exemplars*, each in the bucket of its value."""
    return [exemplar._replace(bucket=bisect_left(bounds, exemplar.value)) for exemplar in exemplars]
