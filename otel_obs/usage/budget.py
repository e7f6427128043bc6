"""The cost of series, and what dropping or coarsening them would save."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from otel_obs.errors import OperationsError
from otel_obs.reading.page import ScrapedFamily, ScrapedPage

_LABELS = 64
"""Of how many labels of a family it is said what leaving them out saves: of those with most values."""
MINUTES_A_MONTH = 365.25 / 12 * 24 * 60
_PRICE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/|per)\s*(\d[\d_,]*)?\s*(?:([kM])\s*)?(series|samples)\s*$")
_FACTORS = {"": 1, "k": 1_000, "M": 1_000_000}


class SeriesPrice(NamedTuple):
    """The price of `per` series for a month, or of `per` samples, in the user's currency."""

    amount: float
    per: float
    unit: str

    def of(self, series: float, interval_s: float) -> float:
        """The cost of *series* series for a month, scraped every *interval_s* seconds."""
        samples = series * 60 / interval_s * MINUTES_A_MONTH
        return self.amount / self.per * (series if self.unit == "series" else samples)


class FamilyShare(NamedTuple):
    """A family with its series, and the number of values of each of its labels."""

    family: str
    type: str
    series: int
    labels: dict[str, int]


class Saving(NamedTuple):
    """A possible change, and the number of series that it would remove."""

    family: str
    what: str
    series: int


def parse_price(text: str) -> SeriesPrice:
    """Read `8 per 1000 series` (a month), `0.9/10M samples` and the like.

    Raises:
        OperationsError: The text has none of these forms.
    """
    found = _PRICE.match(text)
    per = (
        float((found[2] or "1").replace(",", "").replace("_", "")) * _FACTORS[found[3] or ""] if found else 0
    )
    if found is None or per == 0:
        raise OperationsError(
            f"--price {text!r}",
            "is no price",
            "write `8 per 1000 series` for a month, or `0.9 per 10M samples`",
        )
    return SeriesPrice(float(found[1]), per, found[4])


def shares(page: ScrapedPage) -> list[FamilyShare]:
    """Every family, the one with most series first."""
    found = [_share(family) for family in page.families.values() if family.samples]
    return sorted(found, key=lambda share: (-share.series, share.family))


def _share(family: ScrapedFamily) -> FamilyShare:
    values: dict[str, set[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            values.setdefault(label, set()).add(value)
    labels = {label: len(found) for label, found in sorted(values.items(), key=lambda each: -len(each[1]))}
    return FamilyShare(family.name, family.type, len(family.samples), labels)


def savings(page: ScrapedPage) -> list[Saving]:
    """Possible savings, the largest first; changes that save nothing are left out."""
    found = [saving for family in page.families.values() for saving in _savings(family)]
    return sorted((s for s in found if s.series > 0), key=lambda s: (-s.series, s.family, s.what))


def _savings(family: ScrapedFamily) -> Iterator[Saving]:
    total = len(family.samples)
    yield Saving(family.name, "drop the family", total)
    labels = [label for label in _share(family).labels if label not in ("le", "quantile")]
    for label in sorted(labels[:_LABELS]):
        left = {
            (sample.name, tuple(pair for pair in sample.series.pairs if pair[0] != label))
            for sample in family.samples
        }
        yield Saving(family.name, f"leave out the label {label}", total - len(left))
    if family.type == "histogram":
        yield from _coarser(family)


def _coarser(family: ScrapedFamily) -> Iterator[Saving]:
    bounds = {sample.labels["le"] for sample in family.samples if "le" in sample.labels}
    numbers = sorted((bound for bound in bounds if _is_finite(bound)), key=float)
    dropped = set(numbers[1::2])
    for what, gone in (("keep every second bound", dropped), ("keep only its sum and count", bounds)):
        saved = sum(sample.labels.get("le") in gone for sample in family.samples)
        yield Saving(family.name, what, saved)


def _is_finite(text: str) -> bool:
    try:
        return abs(float(text)) != float("inf") and float(text) == float(text)
    except ValueError:
        return False
