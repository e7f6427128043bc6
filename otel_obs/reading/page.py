"""What a page of metrics says, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

PageFormat = Literal["text", "openmetrics"]
LabelPairs = tuple[tuple[str, str], ...]

MAX_FLAWS = 1_000
"""How many flaws of one page are kept; a page that is no exposition has one a line."""


class ScrapedSeries(NamedTuple):
    """A sample's name and labels.

    `labels` are as they stand on the page, and shared between samples: not to be changed. `pairs` are the
    same by name, to compare and to look up.
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
        """The sample's own name: that of its family, with a suffix or without."""
        return self.series.name

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels as they stand on the page."""
        return self.series.labels


@dataclass
class ScrapedFamily:
    """Samples that one TYPE speaks for.

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
    """What a strict parser refuses, or what two parsers read differently.

    `kind` is one of the kinds of `otel_obs.reading.text`; `what` names the thing and its value.
    """

    line: int
    kind: str
    what: str


@dataclass
class ScrapedPage:
    """All of one page.

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
        """The value of every series, by name and sorted labels; the last where a series is there twice."""
        return {(s.series.name, s.series.pairs): s.value for s in self.samples()}
