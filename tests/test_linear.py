"""Nothing that reads what others wrote is worse than linear: four times the text takes four times as long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import Metric

from otel_obs.catalog.database import operation_of
from otel_obs.catalog.kit.redaction import looks_secret
from otel_obs.cells.attributes import canonical, has_too_long, label_value
from otel_obs.cells.layout import Scope
from otel_obs.errors import SettingError
from otel_obs.exposition import OPENMETRICS, TEXT, Format, Options, negotiate
from otel_obs.exposition.from_client import load
from otel_obs.exposition.lexical import escape_help, escape_name, escape_value, to_utf8
from otel_obs.exposition.names import (
    Spelling,
    join_labels,
    sanitize_label,
    sanitize_name,
    unit_word,
)
from otel_obs.exposition.negotiate import _split
from otel_obs.exposition.shown_exemplars import exemplar_labels
from otel_obs.http.exclusion import Exclusion
from otel_obs.serving.scrape import Scrape, ScrapeRequest, accepts_gzip, run_steps
from otel_obs.settings import SETTINGS, Settings
from tests.exposition.build import counter, exemplar, gauge, rendered
from tests.support import linear
from tests.support.linear import SIZE, check, check_text


class Nothing:
    """Where an empty exposition comes from."""

    def collect(self, accept: str, names: Any) -> tuple[str, Iterator[bytes]]:
        negotiate(accept)
        return "text/plain", iter([b"", *(b"" for _ in names[:1])])


def asking(field: str) -> Callable[[str], object]:
    scrape = Scrape(Nothing(), token="secret")
    usual = ScrapeRequest("GET", authorization="Bearer secret")
    return lambda text: run_steps(scrape.steps(usual._replace(**{field: text})))


def setting(row: Any) -> Callable[[str], object]:
    def read(text: str) -> None:
        try:
            row.parser.read(text)
        except (ValueError, SettingError):
            return

    return read


def bound(text: str) -> None:
    metric = Metric("waits", "Help", "histogram")
    metric.add_sample("waits_bucket", {"le": text}, 1.0)
    load([metric], "underscores")


TEXTS: dict[str, Callable[[str], object]] = {
    "a bucket's bound of a collector": bound,
    "an Accept header": negotiate,
    "an Accept header's parts": lambda text: _split(text, ","),
    "an Accept-Encoding header": accepts_gzip,
    **{f"a scrape's {field}": asking(field) for field in ScrapeRequest._fields},
    "an id of a key": looks_secret,
    "a statement": operation_of,
    "a path that may be excluded": lambda text: Exclusion(["^/health$", "live"]).covers({}, text, str),
    "a path and an expression that begins anywhere": lambda text: Exclusion([".*/health", "(a|b)*c$"]).covers(
        {}, text, str
    ),
    "a label's value": lambda text: canonical({"key": text}),
    "a label's length": lambda text: has_too_long({"key": text}),
    "a label's value as it is written": lambda text: to_utf8(escape_value(text)),
    "a help text": lambda text: to_utf8(escape_help(text)),
    "a label of bytes": lambda text: label_value(text.encode("utf-8", "replace")),
    "a label of a list": lambda text: canonical({"key": list(text)}),
    "a unit": unit_word.__wrapped__,
    "a name": sanitize_name,
    "a label's name": sanitize_label,
    "a name with underscores": lambda text: escape_name.__wrapped__(text, "underscores"),
    "a name with values": lambda text: escape_name.__wrapped__(text, "values"),
    "a name with dots": lambda text: escape_name.__wrapped__(text, "dots"),
    "a resource's attributes": lambda text: Settings(resource_attributes=text).resource_attribute_names,
    "an exemplar's labels": lambda text: exemplar_labels(exemplar(0, 1.0, 1.0, text=text), Spelling()),
    "an unknown variable": lambda text: Settings.from_env({f"OTEL_OBS_{text}": "x"}),
    **{
        f"the variable {row.variable}": setting(row) for row in {row.parser: row for row in SETTINGS}.values()
    },
}


def metrics(number: int, name: Callable[[int], str]) -> Iterator[Metric]:
    for at in range(number):
        metric = Metric("family", "Help", "gauge")
        metric.add_sample(name(at), {"at": str(at)}, 1.0)
        yield metric


OPENMETRICS_2 = Format("openmetrics2", "2.0.0")


def buckets(number: int, labels: Callable[[int], dict[str, str]]) -> Metric:
    metric = Metric("family", "Help", "histogram")
    for at in range(number):
        own = {"le": "+Inf", **labels(at)}
        metric.add_sample("family_bucket", own, float(at))
        metric.add_sample("family_sum", {key: own[key] for key in own if key != "le"}, 1.0)
    return metric


SIZES: dict[str, Callable[[int], object]] = {
    "families that come many times": lambda n: rendered([], others=metrics(n, lambda at: "family")),
    "samples of other names": lambda n: rendered([], others=metrics(n, lambda at: f"family_{at}")),
    "labels of one series": lambda n: join_labels([(f"k.{at}", "v") for at in range(n)], Spelling()),
    "keys that become one": lambda n: join_labels(
        [("k" + "." * at, "v") for at in range(n // 64)], Spelling()
    ),
    "scopes of one family": lambda n: rendered(
        [gauge("g", [({}, 1.0)], scope=Scope(f"s{at}")) for at in range(n // 8)]
    ),
    "series that become one": lambda n: rendered(
        counter(
            "c",
            [({"a": at}, 1.0) if at % 2 else ({"a": str(at - 1 + at % 2)}, 1.0) for at in range(n)],
            exemplars={at: [exemplar(0, 1.0, 1.0)] for at in range(n)},
        ),
        OPENMETRICS,
    ),
    "instruments that become one": lambda n: rendered(
        [
            counter("c", [({}, 1.0)], description=str(at), exemplars={0: [exemplar(0, 1.0, 1.0)]})
            for at in range(n // 8)
        ],
        OPENMETRICS,
    ),
    "histograms of another collector in OpenMetrics 2.0": lambda n: rendered(
        [], OPENMETRICS_2, others=[buckets(n, lambda at: {"a": str(at)})]
    ),
    "buckets of a histogram in OpenMetrics 2.0": lambda n: rendered(
        [], OPENMETRICS_2, others=[buckets(n, lambda at: {"le": str(at)})]
    ),
    "names that are asked for": lambda n: rendered(
        gauge("g", [({}, 1.0)]), TEXT, names=[str(at) for at in range(n)]
    ),
    "attributes of a resource": lambda n: rendered(
        gauge("g", [({}, 1.0)]),
        options=Options(canonical({f"k{at}": "v" for at in range(n)}), resource_labels=("k*a*b*c*d",)),
    ),
    "patterns": lambda n: Exclusion([f"/{at}$" for at in range(n // 64)]).covers({}, "/x", str),
}


@pytest.mark.parametrize("parser", TEXTS)
def test_a_text_that_others_wrote_is_read_in_linear_time(parser: str) -> None:
    check_text(TEXTS[parser])


@pytest.mark.parametrize("work", SIZES)
def test_what_others_yield_is_written_in_linear_time(work: str) -> None:
    check(SIZES[work], 2048)


def test_the_measure_finds_what_is_quadratic(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = [0.0]

    def takes(power: int) -> Callable[[int], object]:
        def work(size: int) -> None:
            clock_s[0] += (size / SIZE) ** power

        return work

    monkeypatch.setattr(linear, "process_time", lambda: clock_s[0])
    check(takes(1), SIZE)
    with pytest.raises(AssertionError, match="4 times 8192 takes 16.0 times as long"):
        check(takes(2), SIZE)
