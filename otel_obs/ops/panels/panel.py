"""The row of the tables of panels, and the queries that many panels share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

GREEN, YELLOW, RED, BLUE = "green", "#EAB839", "red", "blue"
PanelSteps = tuple[tuple[float | None, str], ...]
"""The value from which on a panel has a colour, with that colour; None is the lowest."""

Colours = tuple[tuple[str, str], ...]
OUTCOMES: Colours = (
    (r"/^([123]..|success)$|\bsuccess$/", GREEN),
    (r"/^(4..|4xx|fallback)$| 4..$/", YELLOW),
    (r"/^(5..|5xx|error)$|\berror$| 5..$/", RED),
)
"""The colours of curves that say how something ended: what is good is green, and what failed is red."""


class Caption(NamedTuple):
    """The title and the description of a panel in one language."""

    title: str
    description: str


class Curve(NamedTuple):
    """One query, in the catalog's names, with `$__rate_interval` in every rate.

    Attributes:
        expr: PromQL.
        legend: The legend, with labels as `{{endpoint}}`.
        has_exemplars: Whether its exemplars are shown, which lead to traces.
    """

    expr: str
    legend: str = ""
    has_exemplars: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        slug: The source of its id, which stays the same when titles change.
        kind: `timeseries`, `stat`, `gauge`, `bargauge`, `heatmap` or `alerts`.
        unit: A unit of Grafana.
        en: Its caption.
        ko: Its caption in Korean.
        curves: Its queries; one whose families the service lacks is left out.
        steps: Its thresholds and their colours.
        width: Its width of 24 columns; a line of panels is stretched to 24.
        low: The start of the axis; None to fit the data.
        high: The end of the axis; None to fit the data.
        is_stacked: Whether the curves are stacked, as parts of a whole.
        values: Texts that replace values, with their colours.
        decimals: The number of decimals; None lets Grafana choose.
        soft_high: How far the axis reaches at least, so that zeros and small values look small; None to fit the data.
        colours: Shades of a colour for the curves whose legend matches a regular expression.
        has_course: Whether a `stat` shows its course behind the value; a constant has none.
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
    soft_high: float | None = None
    colours: Colours = ()
    has_course: bool = True


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


def percentile(share: str, family: str, *by: str) -> str:
    """One percentile, by labels."""
    grouping = ", ".join((*by, "le"))
    return f"histogram_quantile({share}, sum by ({grouping}) (rate({family}_bucket[$__rate_interval])))"


def heat(family: str) -> tuple[Curve, ...]:
    """The query of a heatmap: the increase of each bucket."""
    return (Curve(f"sum by (le) (increase({family}_bucket[$__rate_interval]))", "{{le}}", True),)


def mean(family: str, *by: str) -> str:
    """The mean of a histogram, by labels."""
    grouping = f"sum by ({', '.join(by)}) " if by else "sum"
    rates = [f"{grouping}(rate({family}_{part}[$__rate_interval]))" for part in ("sum", "count")]
    return " / ".join(rates)
