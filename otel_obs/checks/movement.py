"""Checks of several answers in a row: counters that fall, and values that depend on which worker answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from otel_obs.checks.all_checks import Finding
from otel_obs.checks.evidence import PageEvidence
from otel_obs.reading.page import ScrapedFamily, ScrapedPage

FollowedKey = tuple[str, object]
PageValues = Sequence[float | None]

CUMULATIVE = {
    "counter": ("", "_total"),
    "histogram": ("_bucket", "_count"),
    "summary": ("_count",),
}
_CONSTANT = ("process_start_time_seconds",)
_NOISE = {"process_start_time_seconds": 1.0}
"""Differences up to this count as equal: the start time is computed from clock ticks since the boot."""


def check_movement(evidence: PageEvidence) -> Iterator[Finding]:
    """Each family over all answers."""
    pages = [
        evidence.text.page,
        *(scraped.page for scraped in evidence.later if scraped.fetched.status == 200),
    ]
    if len(pages) < 2:
        return
    names = dict.fromkeys(name for page in pages for name in page.families)
    found = [finding for name in names for finding in _judge(name, list(_series(name, pages).values()))]
    # Where workers answer in turn, a lower value may simply be another worker's: report it as OBS051 too.
    is_in_turn = any(finding.code == "OBS051" for finding in found)
    yield from (finding._replace(code="OBS051") if is_in_turn else finding for finding in found)


def _series(name: str, pages: Sequence[ScrapedPage]) -> dict[FollowedKey, list[float | None]]:
    """The values of each series that only grows or never changes: one a page, None where it is absent."""
    found: defaultdict[FollowedKey, list[float | None]] = defaultdict(lambda: [None] * len(pages))
    for index, page in enumerate(pages):
        family = page.families.get(name)
        for sample in _followed(family) if family is not None else ():
            found[sample[0]][index] = sample[1]
    return found


def _followed(family: ScrapedFamily) -> Iterator[tuple[FollowedKey, float]]:
    names = {family.name + suffix for suffix in CUMULATIVE.get(family.type, ())}
    if family.name in _CONSTANT or family.name.endswith("_created"):
        names.add(family.name)
    for sample in family.samples:
        if sample.name in names:
            yield (sample.name, sample.series.pairs), sample.value


def _judge(name: str, series: Sequence[PageValues]) -> Iterator[Finding]:
    """A value that falls and recovers, or a series that vanishes and returns, depends on the worker."""
    if any(_has_gap(values) for values in series):
        yield Finding("OBS051", name, "has series that are on one page, not on the next, and there again")
        return
    fallen = [[value for value in values if value is not None] for values in series]
    fallen = [values for values in fallen if _falls(values, _NOISE.get(name, 0.0))]
    if any(_comes_back(values) for values in fallen):
        example = next(values for values in fallen if _comes_back(values))
        shown = ", ".join(f"{value:.12g}" for value in example)
        yield Finding("OBS051", name, f"goes back and forth from one answer to the next: {shown}")
    elif fallen:
        shown = ", ".join(f"{value:.12g}" for value in fallen[0])
        # A restart moves the start time forward: an earlier start time belongs to another process.
        code = "OBS051" if name in _CONSTANT else "OBS050"
        yield Finding(code, name, f"has fallen between two scrapes: {shown}")


def _has_gap(values: PageValues) -> bool:
    present = [index for index, value in enumerate(values) if value is not None]
    return bool(present) and len(present) < present[-1] - present[0] + 1


def _falls(values: Sequence[float], noise: float) -> bool:
    return any(after < before - noise for before, after in pairwise(values))


def _comes_back(values: Sequence[float]) -> bool:
    """Whether a value falls and later reaches its former maximum again."""
    highest = values[0]
    has_fallen = False
    for value in values[1:]:
        if has_fallen and value >= highest:
            return True
        has_fallen = has_fallen or value < highest
        highest = max(highest, value)
    return False
