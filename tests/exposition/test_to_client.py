"""Our families in prometheus_client's REGISTRY: what its own encoders make of them is what ours write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel_obs.cells.attributes import canonical
from otel_obs.cells.snapshot import ExponentialValue, Snapshot
from otel_obs.exposition import OPENMETRICS, Options, render
from otel_obs.exposition.to_client import to_prometheus_client
from tests.exposition.build import counter, exemplar, exponential, gauge, histogram, rendered, snapshot

OPTIONS = Options(canonical({"service.name": "shop"}))


def some() -> Snapshot:
    return snapshot(
        counter(
            "requests",
            [({"path": 'a"\n'}, 5.0)],
            description="Requests",
            exemplars={0: [exemplar(0, 1.0, 9.0)]},
        ),
        counter("sent", [({}, 2e6)], unit="By"),
        gauge("temperature", [({"a.b": "1", "a_b": "2"}, -1.0)], unit="Cel"),
        histogram(
            "latency",
            (0.1, 1),
            [({}, [1.0, 2.0, 3.0, 4.5])],
            unit="s",
            exemplars={0: [exemplar(1, 0.5, 9.0)]},
        ),
        exponential("sizes", [({}, ExponentialValue(0, 1, 9.0, 0, [1, 2], 0, [1]))], unit="By"),
    )


class Ours:
    """A collector as it is registered in a REGISTRY."""

    def __init__(self, found: Snapshot, has_created: bool = True) -> None:
        self.found, self.has_created = found, has_created

    def collect(self) -> Iterator[Metric]:
        return to_prometheus_client(self.found, OPTIONS, self.has_created)


def registry_of(collector: Any) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(collector)
    return registry


def samples(families: Any) -> list[Any]:
    return [
        (family.name, family.type, family.documentation, sample.name, sample.labels, sample.value)
        for family in families
        for sample in family.samples
    ]


def test_its_text_is_ours() -> None:
    theirs = generate_latest(registry_of(Ours(some(), has_created=False))).decode()
    ours = b"".join(render(some(), options=OPTIONS)).decode()
    assert samples(parse_text(theirs)) == samples(parse_text(ours))
    assert [line for line in theirs.splitlines() if line.startswith("#")] == [
        line for line in ours.splitlines() if line.startswith("#")
    ]


def test_its_openmetrics_is_ours() -> None:
    theirs = list(parse_openmetrics(generate_openmetrics(registry_of(Ours(some()))).decode()))  # type: ignore[no-untyped-call]
    ours = list(parse_openmetrics(b"".join(render(some(), OPENMETRICS, OPTIONS)).decode()))  # type: ignore[no-untyped-call]
    assert theirs == ours
    assert any(sample.exemplar for family in ours for sample in family.samples)


def test_what_is_in_their_registry_already_is_not_written_twice(caplog: pytest.LogCaptureFixture) -> None:
    registry = registry_of(Ours(some()))
    Gauge("theirs", "", registry=registry).set(1)
    body = rendered(some().columns, options=OPTIONS, others=registry.collect())
    assert (
        body
        == rendered(some().columns, options=OPTIONS) + b"# HELP theirs \n# TYPE theirs gauge\ntheirs 1.0\n"
    )
    assert caplog.messages == []


@pytest.mark.parametrize("translation", ["NoTranslation", "NoUTF8EscapingWithSuffixes"])
def test_names_are_classic_under_every_strategy(translation: Any) -> None:
    options = Options(translation=translation)
    (metric,) = to_prometheus_client(snapshot(gauge("a.b", [({"c.d": "1"}, 1.0)])), options)
    assert (metric.name, metric.samples[0].name, metric.samples[0].labels) == ("a_b", "a_b", {"c_d": "1"})


def test_a_counter_without_total_is_unknown() -> None:
    options = Options(translation="NoTranslation")
    (metric,) = to_prometheus_client(snapshot(counter("sent", [({}, 1.0)], unit="By")), options)
    assert (metric.name, metric.type, metric.unit) == ("sent", "unknown", "")
    assert [sample.name for sample in metric.samples] == ["sent"]
