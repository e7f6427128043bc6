"""The labels of every series, encoded once and kept with the table that they belong to."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from otel_obs.cells.layout import Attributes, Kind
from otel_obs.cells.snapshot import Exemplar
from otel_obs.exposition.names import Labels, Naming, join_labels, label_value
from otel_obs.exposition.plan import Family, Member, warn_once

T = TypeVar("T", bound=Hashable)
T_co = TypeVar("T_co", bound=Hashable, covariant=True)

_PREPARED_AT_ONCE = 1000
_INFINITY = float("inf")


class LabelCoder(Protocol[T_co]):
    """How a format writes the labels of one series; equal labels give equal results."""

    def __call__(self, labels: Labels, /) -> T_co:
        """Encode *labels*."""


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """Series of one family that have the same shape: as a column, with encoded labels, none of them twice."""

    kind: Kind
    bounds: tuple[float, ...]
    labels: list[T]
    values: list[Any]
    created_s: list[float]
    exemplars: dict[int, list[Exemplar]]


@dataclass(frozen=True, slots=True)
class _Coded(Generic[T]):
    labels: list[T]
    is_distinct: bool


def prepare(family: Family, naming: Naming, coder: LabelCoder[T]) -> Iterator[bytes]:
    """Encode the labels of *family* where they are not yet; yields empty chunks to breathe at."""
    for member in family.members:
        scratch, key = member.column.table.scratch, _key(member, family, naming, coder)
        if key not in scratch:
            coded: list[T] = []
            distinct: set[T] = set()
            for labels in _label_sets(member, naming, *key[-2:]):
                coded.append(coder(labels))
                if len(coded) % _PREPARED_AT_ONCE == 0:
                    distinct.update(coded[-_PREPARED_AT_ONCE:])
                    yield b""
            distinct.update(coded[len(distinct) :])
            scratch[key] = _Coded(coded, len(distinct) == len(coded))


def parts(family: Family, naming: Naming, coder: LabelCoder[T]) -> list[Part[T]]:
    """The series of *family*, in order; `prepare` must have run. Series with equal labels are one."""
    found, is_distinct = [], True
    for member in family.members:
        table = member.column.table
        coded: _Coded[T] = table.scratch[_key(member, family, naming, coder)]
        is_distinct = is_distinct and coded.is_distinct
        stream = table.stream
        part = Part(
            stream.kind,
            stream.bounds,
            coded.labels,
            member.column.values,
            table.created_s,
            member.column.exemplars,
        )
        found.append(_without_infinite_bound(part))
    if is_distinct and _are_disjoint(found):
        return found
    return _merged(found, family.name)


def _key(member: Member, family: Family, naming: Naming, coder: LabelCoder[T]) -> tuple[Any, ...]:
    return coder, naming, member.extra, "le" if family.type == "histogram" else "", family.label_order


def _label_sets(member: Member, naming: Naming, reserved: str, first: tuple[str, ...]) -> Iterator[Labels]:
    """The labels of each series; names are worked out once for each set of keys, of which there are few."""
    shapes: dict[tuple[str, ...], list[tuple[str, int]] | None] = {}
    extra = member.extra
    for attributes in member.column.table.attributes:
        if extra:
            attributes = (*attributes, *extra)
        keys = tuple([key for key, _ in attributes])
        if keys not in shapes:
            shapes[keys] = _shape(attributes, naming, reserved, first)
        shape = shapes[keys]
        if shape is None:
            yield _ordered(join_labels(attributes, naming, reserved), first)
        else:
            yield tuple([(name, _string(attributes[at][1])) for name, at in shape])


def _shape(
    attributes: Attributes, naming: Naming, reserved: str, first: tuple[str, ...]
) -> list[tuple[str, int]] | None:
    """Label names with the position of their attribute; None where two attributes become one label."""
    labels = join_labels([(key, str(at)) for at, (key, _) in enumerate(attributes)], naming, reserved)
    if len(labels) < len(attributes):
        return None
    return [(name, int(at)) for name, at in _ordered(labels, first)]


def _ordered(labels: Labels, first: tuple[str, ...]) -> Labels:
    """Labels that are sorted by name, with those of *first* before the others."""
    ranks = {name: rank for rank, name in enumerate(first)}
    return tuple(sorted(labels, key=lambda label: ranks.get(label[0], len(first))))


def _string(value: Any) -> str:
    return value if type(value) is str else label_value(value)


def _are_disjoint(found: Sequence[Part[T]]) -> bool:
    if len(found) < 2:
        return True
    return len(set().union(*(part.labels for part in found))) == sum(len(part.labels) for part in found)


def _without_infinite_bound(part: Part[T]) -> Part[T]:
    """The bucket above the last finite bound is the one of `+Inf`, also where bounds end with infinity."""
    if part.kind is not Kind.HISTOGRAM or not part.bounds or part.bounds[-1] != _INFINITY:
        return part
    values = [[*row[:-3], row[-3] + row[-2], row[-1]] for row in part.values]
    return replace(part, bounds=part.bounds[:-1], values=values)


def _merged(found: Sequence[Part[T]], name: str) -> list[Part[T]]:
    """Add up series that have the same labels, since a scraper would take one of them and lose the rest."""
    result: list[Part[T]] = []
    places: dict[T, tuple[Part[T], int]] = {}
    for part in found:
        merged = replace(part, labels=[], values=[], created_s=[], exemplars={})
        result.append(merged)
        for at, labels in enumerate(part.labels):
            value, exemplars = part.values[at], part.exemplars.get(at, [])
            if labels in places:
                target, place = places[labels]
                _add(target, place, part, value, name)
                target.created_s[place] = min(target.created_s[place], part.created_s[at])
            else:
                target, place = places[labels] = merged, len(merged.labels)
                merged.labels.append(labels)
                merged.values.append(value)
                merged.created_s.append(part.created_s[at])
            if exemplars:
                target.exemplars[place] = target.exemplars.get(place, []) + exemplars
    return result


def _add(target: Part[T], place: int, part: Part[T], value: Any, name: str) -> None:
    old = target.values[place]
    if part.kind in (Kind.COUNTER, Kind.UPDOWN) and target.kind is part.kind:
        target.values[place] = old + value
    elif part.kind is Kind.HISTOGRAM and target.kind is part.kind and target.bounds == part.bounds:
        target.values[place] = [a + b for a, b in zip(old, value, strict=True)]
    elif part.kind is Kind.GAUGE and target.kind is part.kind:
        target.values[place] = value
    else:
        warn_once(f"{name!r} has series with equal labels that cannot be added up; the first is exposed")
