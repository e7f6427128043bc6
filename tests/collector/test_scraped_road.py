"""Service, scrape, collector, remote write: what `/metrics` says is what arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.collector.roads import (
    ENVIRONMENT,
    by_value_of_le,
    exposed,
    receivers,
    shop,
    use,
    with_labels,
    without_families,
)
from tests.support.cloud import Cloud
from tests.support.collector import Collector, needs_collector, variables
from tests.support.otlp import OtlpReceiver
from tests.support.processes import Service
from tests.support.prometheus import PrometheusServer
from tests.support.samples import Samples
from tests.support.tap import Tap
from tests.support.waiting import until

pytestmark = needs_collector

OF_THE_SCRAPE = ("up", "scrape_", "target_info")


class Road(NamedTuple):
    """Everything that runs."""

    service: Service
    tap: Tap
    collector: Collector
    cloud: Cloud
    traces: OtlpReceiver
    behind: dict[str, PrometheusServer]

    @property
    def labels(self) -> dict[str, str]:
        """What the collector adds to every series."""
        return {
            "job": "shop",
            "instance": self.tap.target,
            "deployment_environment_name": ENVIRONMENT,
        }

    def last_scrape(self) -> tuple[str, int]:
        """The text and the time, in milliseconds, of the last scrape that succeeded and has arrived."""
        arrived_ms = [each.timestamp_ms for each in self.cloud.samples("up", job="shop") if each.value == 1]
        return self.tap.answer_at(arrived_ms[-1]).text, arrived_ms[-1]


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    directory = tmp_path_factory.mktemp("scraped")
    with receivers(directory) as behind, OtlpReceiver() as traces:
        urls = [f"{server.url}/api/v1/write" for server in behind.values()]
        with Cloud(urls) as cloud:
            tap = Tap()
            env = {
                **variables(cloud.url, f"http://127.0.0.1:{traces.http_port}/otlp"),
                "APP_JOB": "shop",
                "APP_TARGETS": f"[{tap.target}]",
            }
            with tap, Collector(directory, env) as collector:
                tracing = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_SCHEDULE_DELAY": "100"}
                with shop(directory, {**tracing, **collector.otlp()}) as service:
                    use(service)
                    tap.url = service.url
                    road = Road(service, tap, collector, cloud, traces, behind)
                    until(lambda: len(cloud.latest(__name__="http_requests_total")) == 2 + 1, "the counters")
                    seen = len(tap.scrapes)
                    until(lambda: len(tap.scrapes) > seen + 1, "two more scrapes")
                    yield road


def test_asks_for_open_metrics_and_gets_it(road: Road) -> None:
    scrape = road.tap.scrapes[-1]
    assert scrape.accept.startswith("application/openmetrics-text")
    assert scrape.content_type.startswith("application/openmetrics-text")


def test_nothing_that_arrives_is_wrong(road: Road) -> None:
    assert road.cloud.problems == []
    assert set(road.cloud.statuses) == {204}


def test_every_series_arrives_with_its_name_labels_and_value(road: Road) -> None:
    text, timestamp_ms = road.last_scrape()

    arrived = road.cloud.at(timestamp_ms, job="shop")

    sent = without_families(exposed(text), "target_info")
    assert len(sent) > 100
    assert by_value_of_le(without_families(arrived, *OF_THE_SCRAPE)) == by_value_of_le(
        with_labels(sent, **road.labels)
    )


def test_the_scrape_itself_is_a_series_of_the_same_job_and_instance(road: Road) -> None:
    _, timestamp_ms = road.last_scrape()
    arrived = road.cloud.at(timestamp_ms, job="shop")
    assert {name for name, _ in arrived if name.startswith(OF_THE_SCRAPE)} == {
        "scrape_duration_seconds",
        "scrape_samples_post_metric_relabeling",
        "scrape_samples_scraped",
        "scrape_series_added",
        "target_info",
        "up",
    }
    assert arrived.value("up", **road.labels) == 1


def test_target_info_has_the_resource_and_what_the_collector_knows_of_the_target(road: Road) -> None:
    _, timestamp_ms = road.last_scrape()
    (labels,) = road.cloud.at(timestamp_ms, __name__="target_info").labels("target_info")
    assert dict(labels) == {
        "job": "shop",
        "instance": road.tap.target,
        "deployment_environment_name": ENVIRONMENT,
        "telemetry_sdk_language": "python",
        "telemetry_sdk_name": "opentelemetry",
        "telemetry_sdk_version": labels["telemetry_sdk_version"],
        "server_port": road.tap.target.partition(":")[2],
        "url_scheme": "http",
    }


def test_types_and_help_arrive(road: Road) -> None:
    counter, histogram = 1, 3
    assert road.cloud.metadata["http_requests_total"] == (counter, "Total HTTP requests", "")
    assert road.cloud.metadata["http_request_duration_seconds"][0] == histogram


def test_real_receivers_have_the_same(road: Road) -> None:
    if not road.behind:
        pytest.skip("neither Debian's prometheus nor a Prometheus 3 from make prometheus3 was found")
    _, timestamp_ms = road.last_scrape()
    arrived = road.cloud.at(timestamp_ms, job="shop")
    for version, server in road.behind.items():
        found = stored(server, '{job="shop"}', timestamp_ms)
        # A scrape that failed before the service listened has left a target without its resource.
        assert found.items() >= arrived.items(), version
        assert without_families(found, "target_info") == without_families(arrived, "target_info"), version


def test_exemplars_lead_from_a_bucket_to_a_trace(road: Road) -> None:
    traces = {span.trace_id for span in until(road.traces.spans, "spans")}
    for family in ("http_request_duration_seconds", "llm_duration_seconds"):
        found = {
            dict(exemplar.labels)["trace_id"]
            for labels, exemplars in road.cloud.exemplars.items()
            if dict(labels)["__name__"] == f"{family}_bucket"
            for exemplar in exemplars
        }
        assert found, family
        assert found <= traces, family


def test_real_receivers_have_the_exemplars(road: Road) -> None:
    for version, server in road.behind.items():
        found = server.api(
            "query_exemplars", query="llm_duration_seconds_bucket", start="0", end="9999999999"
        )
        assert [one for series in found for one in series["exemplars"]], version


def test_a_service_that_stops_ends_its_series_and_is_down_under_the_same_labels(road: Road) -> None:
    """The last test of this module: it stops the service."""
    ended_by = road.last_scrape()[1]

    road.service.stop()
    until(lambda: road.cloud.latest(__name__="up").value("up", **road.labels) == 0, "up 0")

    until(lambda: not without_families(road.cloud.latest(job="shop"), *OF_THE_SCRAPE), "the series' end")
    for version, server in road.behind.items():
        now_ms = road.cloud.samples("up", job="shop")[-1].timestamp_ms
        assert now_ms > ended_by
        left = stored(server, '{job="shop"}', now_ms)
        assert not without_families(left, *OF_THE_SCRAPE), version
        assert left.value("up", **road.labels) == 0


def stored(server: PrometheusServer, selector: str, timestamp_ms: int) -> Samples:
    """What a Prometheus has at that time."""
    data = server.api("query", query=selector, time=f"{timestamp_ms / 1e3:.3f}")
    samples = Samples()
    for series in data["result"]:
        labels = dict(series["metric"])
        samples[labels.pop("__name__"), frozenset(labels.items())] = float(series["value"][1])
    return samples
