"""The families of a service as queries see them: sample names, labels and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from otel_obs.errors import UnreadableError
from otel_obs.reading.fetch import Fetching
from otel_obs.reading.page import ScrapedFamily, ScrapedPage
from otel_obs.reading.text import read_page

TARGET_LABELS = frozenset({"job", "instance"})
"""The labels that Prometheus adds to every scraped series."""


@dataclass(frozen=True)
class ExposedFamily:
    """One family.

    Attributes:
        name: The name in its TYPE line.
        type: `counter`, `gauge`, `histogram`, `summary` or `unknown`.
        labels: The labels that at least one of its series has, without `le` and `quantile`.
        bounds: The values of `le`.
        samples: The names of its samples.
    """

    name: str
    type: str
    labels: frozenset[str]
    bounds: frozenset[str] = frozenset()
    samples: frozenset[str] = field(default=frozenset())


def exposed_by(page: ScrapedPage) -> Mapping[str, ExposedFamily]:
    """Every family of a page, by its name."""
    return {name: _exposed(family) for name, family in page.families.items()}


def _exposed(family: ScrapedFamily) -> ExposedFamily:
    labels = {label for sample in family.samples for label in sample.labels}
    bounds = {sample.labels["le"] for sample in family.samples if "le" in sample.labels}
    samples = {sample.name for sample in family.samples}
    # A histogram without series yet will have these samples: queries for them are not broken.
    if family.type == "histogram":
        samples |= {family.name + suffix for suffix in ("_bucket", "_sum", "_count")}
    return ExposedFamily(
        family.name,
        family.type,
        frozenset(labels - {"le", "quantile"}),
        frozenset(bounds),
        frozenset(samples or {family.name}),
    )


def read_exposed(source: str, fetching: Fetching) -> ScrapedPage:
    """Fetch a page, and refuse one without metrics: a wrong address would look as if all metrics were gone.

    Raises:
        UnreadableError: The page cannot be fetched, has an error status, or holds no metric.
    """
    answer = fetching.fetch(source)
    if answer.status != 200:
        raise UnreadableError(source, f"answered {answer.status}", "give the address of /metrics")
    page = read_page(answer.body, answer.format)
    if not any(family.samples or family.is_typed for family in page.families.values()):
        raise UnreadableError(source, "holds no metric", "give a page of metrics")
    return page
