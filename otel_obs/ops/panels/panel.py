"""A row of the tables of panels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

GREEN, YELLOW, RED, BLUE = "green", "#EAB839", "red", "blue"
PanelSteps = tuple[tuple[float | None, str], ...]
"""From which value on a panel has which colour; None is the beginning."""


class Caption(NamedTuple):
    """What a panel is called in one language, and what it shows."""

    title: str
    description: str


class Curve(NamedTuple):
    """One query, in the catalog's names, with `$__rate_interval` in every rate.

    Attributes:
        expr: PromQL.
        legend: With labels as `{{endpoint}}`.
        has_exemplars: Whether its exemplars are shown, which lead to traces.
    """

    expr: str
    legend: str = ""
    has_exemplars: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        slug: What its id is made from; it stays when titles change.
        kind: `timeseries`, `stat`, `gauge`, `bargauge`, `heatmap` or `alerts`.
        unit: One of Grafana's.
        en: Its caption.
        ko: The same in Korean.
        curves: Its queries; without the families of one of them, that one is left out.
        steps: What its thresholds mean.
        width: Of 24; a line of panels is stretched to 24.
        low: The axis begins there; None where the data say.
        high: The axis ends there.
        is_stacked: Whether curves are parts of a whole.
        values: Words in the place of numbers, with their colours.
        decimals: None where Grafana chooses.
    """

    slug: str
    kind: str
    unit: str
    en: Caption
    ko: Caption
    curves: tuple[Curve, ...]
    steps: PanelSteps = ()
    width: int = 12
    low: float | None = 0
    high: float | None = None
    is_stacked: bool = False
    values: tuple[tuple[float, str, str], ...] = ()
    decimals: int | None = None


class Section(NamedTuple):
    """Panels below one heading."""

    en: str
    ko: str
    panels: tuple[Panel, ...]


def quantiles(family: str, *by: str, has_exemplars: bool = False) -> tuple[Curve, ...]:
    """The median, and the 95th and 99th percentile, of a histogram."""
    grouping = ", ".join((*by, "le"))
    legend = "".join(f" {{{{{label}}}}}" for label in by)
    return tuple(
        Curve(
            f"histogram_quantile({share}, sum by ({grouping}) (rate({family}_bucket[$__rate_interval])))",
            f"{name}{legend}",
            has_exemplars and name == "P99",
        )
        for share, name in (("0.50", "P50"), ("0.95", "P95"), ("0.99", "P99"))
    )


def quantile(share: str, family: str, *by: str) -> str:
    """One percentile, by labels."""
    grouping = ", ".join((*by, "le"))
    return f"histogram_quantile({share}, sum by ({grouping}) (rate({family}_bucket[$__rate_interval])))"


def heat(family: str) -> tuple[Curve, ...]:
    """How many measurements fell into each bucket."""
    return (Curve(f"sum by (le) (increase({family}_bucket[$__rate_interval]))", "{{le}}", True),)


def mean(family: str, *by: str) -> str:
    """The mean of a histogram, by labels."""
    grouping = f"sum by ({', '.join(by)}) " if by else "sum"
    rates = [f"{grouping}(rate({family}_{part}[$__rate_interval]))" for part in ("sum", "count")]
    return " / ".join(rates)
