"""The metrics that a test has recorded, by name and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from otel_obs.assembly.exposing import get_metrics
from otel_obs.reading.page import ScrapedPage, ScrapedSample
from otel_obs.reading.text import read_page

_OPENMETRICS = "application/openmetrics-text;version=1.0.0"


class MetricsRecorded:
    """Everything that all threads of this process have recorded since the test began."""

    def exposition(self, accept: str | None = None) -> str:
        """The page that `/metrics` shows now.

        Args:
            accept: The Accept header of a scrape; None is the text format.
        """
        return get_metrics(accept)[0].decode()

    def page(self) -> ScrapedPage:
        """The page that `/metrics` shows now, parsed."""
        return read_page(get_metrics()[0])

    def value(self, name: str, **labels: str) -> float:
        """The sum of all series of *name* that have at least *labels*; 0 where nothing was recorded.

        Args:
            name: A sample's name as it is on the page: `http_requests_total`,
                `http_request_duration_seconds_count`.
            labels: As `endpoint="/x"`.

        Raises:
            AssertionError: The metric has other labels than these.
        """
        return value_of(self.page(), name, labels)

    @contextmanager
    def delta(self) -> Iterator[MetricsDelta]:
        """The difference that a block of code makes; read its values after the block."""
        delta = MetricsDelta(self.page())
        try:
            yield delta
        finally:
            delta.after = self.page()

    def assert_exposition(self, expected: str = "") -> None:
        """Fail unless the page is valid in both formats, and has every line of *expected*.

        Args:
            expected: Lines of the text format, in any order; blanks around them are ignored.

        Raises:
            AssertionError: The page has a flaw, or lacks lines; the message has those of the same metrics.
        """
        for accept in (None, _OPENMETRICS):
            flaws = read_page(get_metrics(accept)[0]).flaws
            if flaws:
                raise AssertionError(f"the page is wrong: {flaws[:5]}")
        present = self.exposition().splitlines()
        wanted = [line.strip() for line in expected.splitlines() if line.strip()]
        missing = [line for line in wanted if line not in present]
        if missing:
            raise AssertionError(_said(missing, present))


class MetricsDelta:
    """The difference that a block of code has made."""

    def __init__(self, before: ScrapedPage) -> None:
        self.before = before
        self.after: ScrapedPage | None = None

    def value(self, name: str, **labels: str) -> float:
        """The change of the sum of all series of *name* that have at least *labels*.

        Raises:
            AssertionError: The block has not ended, or the metric has other labels than these.
        """
        if self.after is None:
            raise AssertionError("ask for the difference behind the block, where it is known")
        # Before the block, there may have been other series, with other labels.
        return value_of(self.after, name, labels) - sum_of(self.before, name, labels)


def value_of(page: ScrapedPage, name: str, labels: Mapping[str, str]) -> float:
    """The sum of all series of *name* that have at least *labels*.

    Raises:
        AssertionError: The metric has other labels than these.
    """
    samples = [sample for sample in page.samples() if sample.name == name]
    known = {label for sample in samples for label in sample.labels}
    unknown = sorted(labels.keys() - known) if samples else []
    if unknown:
        raise AssertionError(f"{name} has no label {', '.join(unknown)}; it has {sorted(known)}")
    return sum_of(page, name, labels)


def sum_of(page: ScrapedPage, name: str, labels: Mapping[str, str]) -> float:
    """The same sum, without an error for labels that no series has."""
    return sum(sample.value for sample in page.samples() if sample.name == name and _has(sample, labels))


def _has(sample: ScrapedSample, labels: Mapping[str, str]) -> bool:
    return all(sample.labels.get(label) == value for label, value in labels.items())


def _said(missing: Sequence[str], present: Sequence[str]) -> str:
    names = {
        line.removeprefix("# HELP ").removeprefix("# TYPE ").split("{")[0].split(" ")[0] for line in missing
    }
    alike = [line for line in present if any(name in line for name in names)]
    there = "\n  ".join(alike) or "nothing"
    return "not on the page:\n  " + "\n  ".join(missing) + f"\nof these metrics there is:\n  {there}"
