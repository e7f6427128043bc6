"""A parsed page of metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

PageFormat = Literal["text", "openmetrics"]
LabelPairs = tuple[tuple[str, str], ...]

MAX_FLAWS = 1_000
"""How many flaws of one page are kept; a page that is no exposition has one on every line."""


class ScrapedSeries(NamedTuple):
    """A sample's name and labels.

    `labels` are in the order of the page. They are shared between samples and must not be changed. `pairs`
    are the same, sorted by name, to compare and to look up.
    """

    name: str
    labels: Mapping[str, str]
    pairs: LabelPairs


class ScrapedExemplar(NamedTuple):
    """The labels, the value and the time (seconds since the epoch) of an exemplar."""

    labels: Mapping[str, str]
    value: float
    timestamp_s: float | None


class ScrapedSample(NamedTuple):
    """One line of a page."""

    series: ScrapedSeries
    value: float
    timestamp_s: float | None
    exemplar: ScrapedExemplar | None
    line: int

    @property
    def name(self) -> str:
        """The name of the sample: its family's, with or without a suffix."""
        return self.series.name

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels in the order of the page."""
        return self.series.labels


@dataclass
class ScrapedFamily:
    """One family with its samples.

    `type` is `unknown` where the page says that, or `untyped`, or has no TYPE; `is_typed` tells these apart.
    """

    name: str
    line: int
    type: str = "unknown"
    is_typed: bool = False
    help: str = ""
    unit: str = ""
    samples: list[ScrapedSample] = field(default_factory=list)


class Flaw(NamedTuple):
    """An error that a strict parser refuses, or that parsers read differently.

    `kind` is one of the kinds of `otel_obs.reading.text`; `what` names the subject and its value.
    """

    line: int
    kind: str
    what: str


@dataclass
class ScrapedPage:
    """One page.

    `flaw_count` counts all flaws; `flaws` holds the first thousand.
    """

    format: PageFormat
    families: dict[str, ScrapedFamily] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    flaw_count: int = 0

    def add_flaw(self, flaw: Flaw) -> None:
        """Note a flaw."""
        self.flaw_count += 1
        if len(self.flaws) < MAX_FLAWS:
            self.flaws.append(flaw)

    def samples(self) -> Iterator[ScrapedSample]:
        """Every sample, family by family."""
        for family in self.families.values():
            yield from family.samples

    def values(self) -> dict[tuple[str, LabelPairs], float]:
        """The value of every series, by name and sorted labels; the last one of a duplicate series."""
        return {(s.series.name, s.series.pairs): s.value for s in self.samples()}
