"""The encoded labels of every series, made once and cached in the `scratch` of their table."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from otel_obs.cells.attributes import Attributes, label_value
from otel_obs.cells.layout import Kind
from otel_obs.exposition.names import Labels, Spelling, join_labels
from otel_obs.exposition.parts import Part, united
from otel_obs.exposition.plan import Family, Member

T = TypeVar("T", bound=Hashable)
T_co = TypeVar("T_co", bound=Hashable, covariant=True)

_PREPARED_AT_ONCE = 1000
_INFINITY = float("inf")


class LabelCoder(Protocol[T_co]):
    """How a format writes the labels of one series; equal labels give equal results."""

    def __call__(self, labels: Labels, /) -> T_co:
        """Encode *labels*."""


@dataclass(frozen=True, slots=True)
class _Coded(Generic[T]):
    labels: list[T]
    is_distinct: bool


def encode_labels(family: Family, naming: Spelling, coder: LabelCoder[T]) -> Iterator[bytes]:
    """Encode the labels of *family* that are not cached; yields empty chunks to let an event loop run."""
    for member in family.members:
        table, key = member.column.table, _key(member, family, naming, coder)
        if key not in table.scratch:
            before: _Coded[T] | None = table.left.pop(key, None)
            labels_of = _LabelTexts(member.extra, naming, *key[-2:])
            coded: list[T] = []
            distinct: set[T] = set()
            for start in range(0, len(table.attributes), _PREPARED_AT_ONCE):
                some = table.attributes[start : start + _PREPARED_AT_ONCE]
                if before is None:
                    fresh = [coder(labels_of(attributes)) for attributes in some]
                else:
                    # The table replaces one whose labels were encoded: of series in both, those are reused.
                    known, kept = before.labels, table.kept[start : start + _PREPARED_AT_ONCE]
                    fresh = [
                        known[place] if place >= 0 else coder(labels_of(attributes))
                        for place, attributes in zip(kept, some, strict=True)
                    ]
                coded += fresh
                distinct.update(fresh)
                yield b""
            table.scratch[key] = _Coded(coded, len(distinct) == len(coded))


def parts(family: Family, naming: Spelling, coder: LabelCoder[T]) -> list[Part[T]]:
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
            stream.merge,
            member.column.times,
        )
        found.append(_without_infinite_bound(part))
    if is_distinct and _are_disjoint(found):
        return found
    return united(found, family.unit)


def _key(member: Member, family: Family, naming: Spelling, coder: LabelCoder[T]) -> tuple[Any, ...]:
    # By the kind of the stream: a histogram may be written as a family of unknown type, with buckets too.
    has_buckets = member.column.table.stream.kind in (Kind.HISTOGRAM, Kind.EXPONENTIAL)
    return coder, naming, member.extra, "le" if has_buckets else "", family.label_order


class _LabelTexts:
    """The labels of a series; their names are computed once for each set of keys, of which there are few."""

    def __init__(self, extra: Attributes, naming: Spelling, reserved: str, first: tuple[str, ...]) -> None:
        self._extra, self._naming, self._reserved = extra, naming, reserved
        self._first = tuple(map(naming.label, first))
        self._shapes: dict[tuple[str, ...], list[tuple[str, int]] | None] = {}
        self._mores: dict[tuple[str, ...], Attributes] = {}

    def __call__(self, attributes: Attributes) -> Labels:
        if self._extra:
            attributes = (*attributes, *self._more(attributes))
        keys = tuple([key for key, _ in attributes])
        if keys not in self._shapes:
            self._shapes[keys] = _shape(attributes, self._naming, self._reserved, self._first)
        shape = self._shapes[keys]
        if shape is None:
            return _ordered(join_labels(attributes, self._naming, self._reserved), self._first)
        labels = [(name, _string(attributes[at][1])) for name, at in shape]
        return tuple([label for label in labels if label[1]])

    def _more(self, attributes: Attributes) -> Attributes:
        """The extra attributes to add: not those whose label the series has itself."""
        keys = tuple([key for key, _ in attributes])
        more = self._mores.get(keys)
        if more is None:
            own = set(map(self._naming.label, keys))
            more = tuple(pair for pair in self._extra if self._naming.label(pair[0]) not in own)
            self._mores[keys] = more
        return more


def _shape(
    attributes: Attributes, naming: Spelling, reserved: str, first: tuple[str, ...]
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
