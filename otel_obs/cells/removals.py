"""Series that ended in the whole service: values that any worker set before the end are gone.

Only gauges whose latest value counts end like this: the worker that ends the series may be another than the
worker whose value is shown. With any other kind or rule, a worker can remove its own part only.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple

from otel_obs.cells.attributes import Attributes, decode_attributes, encode_attributes
from otel_obs.cells.gauge_rules import split_rule
from otel_obs.cells.layout import Kind, Stream

KEPT = 10_000
"""The most ends that are remembered. An older one matters only where a worker has held on to a value,
unchanged, while so many others ended."""


class Removal(NamedTuple):
    """The series of *stream* that have at least these attributes ended at that time.

    `attributes` are canonical JSON; `at_s` is on the monotonic clock, as a gauge's own time is.
    """

    stream: Stream
    attributes: bytes
    at_s: float


def can_end(stream: Stream) -> bool:
    """Whether a series of *stream* ends for all workers at once."""
    return stream.kind is Kind.GAUGE and split_rule(stream.merge)[0].can_end


def newest(ends: Iterable[Removal]) -> list[Removal]:
    """Of each series its last end, and of these the newest `KEPT`, the newest first."""
    last: dict[tuple[Stream, bytes], Removal] = {}
    for end in ends:
        known = last.get((end.stream, end.attributes))
        if known is None or known.at_s < end.at_s:
            last[end.stream, end.attributes] = end
    return heapq.nlargest(KEPT, last.values(), key=itemgetter(2))


class StreamEnds:
    """When the series of one stream ended."""

    def __init__(self) -> None:
        # By the names of the attributes: a series is looked up once for each set of names, not for each end.
        self._ended: dict[tuple[str, ...], dict[bytes, float]] = {}
        self._found: dict[bytes, float] = {}
        self._count = 0

    def add(self, end: Removal) -> None:
        """Note an end; one that was noted before changes nothing."""
        names = tuple(name for name, _ in decode_attributes(end.attributes))
        ended = self._ended.setdefault(names, {})
        known = ended.get(end.attributes)
        if known is not None and known >= end.at_s:
            return
        self._count += known is None
        ended[end.attributes] = end.at_s
        self._found.clear()
        if self._count > 2 * KEPT:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        every = ((at_s, names, key) for names, ended in self._ended.items() for key, at_s in ended.items())
        self._ended, self._count = {}, KEPT
        for at_s, names, key in sorted(heapq.nlargest(KEPT, every)):
            self._ended.setdefault(names, {})[key] = at_s

    def of(self, key: bytes, attributes: Attributes) -> float:
        """When the series with these attributes ended last; minus infinity if it never did."""
        at_s = self._found.get(key)
        if at_s is None:
            at_s = self._found[key] = max(
                (ended.get(_part(attributes, names), _NEVER) for names, ended in self._ended.items()),
                default=_NEVER,
            )
        return at_s


_NEVER = float("-inf")


def _part(attributes: Attributes, names: tuple[str, ...]) -> bytes:
    return encode_attributes(tuple(pair for pair in attributes if pair[0] in names))
