"""Service, OTLP, collector, remote write: the same series as `/metrics` has, of every worker its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.collector.roads import (
    ENVIRONMENT,
    WORKERS,
    by_value_of_le,
    exposed,
    shop,
    use,
    without_families,
    without_labels,
)
from tests.support.cloud import Cloud
from tests.support.collector import Collector, needs_collector, variables
from tests.support.otlp import OtlpReceiver
from tests.support.processes import Service
from tests.support.samples import Samples
from tests.support.waiting import until

pytestmark = needs_collector

# What docs/collector.md lists as different on the two roads.
OF_THE_ANSWER = ("otel_obs_scrape_duration_", "otel_obs_series", "otel_obs_worker", "target_info")
OF_EACH_WORKER = ("process_", "python_")
COUNTED = ("_total", "_bucket", "_count", "_sum", "_now")
RENAMED = {"shop_total_total_counted_total": "shop_counted_total"}
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


class Road(NamedTuple):
    """Everything that runs."""

    service: Service
    collector: Collector
    cloud: Cloud
    traces: OtlpReceiver

    def scraped(self) -> Samples:
        """What a scrape of the service says."""
        answer = self.service.get("/metrics", headers=OPENMETRICS)
        return without_families(by_value_of_le(exposed(answer.text)), *OF_THE_ANSWER)

    def pushed(self) -> Samples:
        """What has arrived of all workers, added up."""
        whole = without_labels(
            self.cloud.latest(job="shop"), "job", "instance", "deployment_environment_name"
        )
        return without_families(by_value_of_le(whole), *OF_THE_ANSWER)

    def instances_after_everything(self) -> set[str]:
        """The workers of which something has arrived, when one of them has recorded everything once more."""
        assert self.service.get("/everything").status == 200
        return self.instances()

    def instances(self) -> set[str]:
        """The workers of which something has arrived."""
        arrived = self.cloud.latest(__name__="http_requests_in_progress")
        return {dict(labels)["instance"] for _, labels in arrived}


@pytest.fixture(scope="module", params=["grpc", "http/protobuf"])
def road(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    directory = tmp_path_factory.mktemp("pushed")
    with OtlpReceiver() as traces, Cloud() as cloud:
        env = variables(cloud.url, f"http://127.0.0.1:{traces.http_port}/otlp")
        with Collector(directory, env) as collector:
            sending = {
                "OTEL_METRICS_EXPORTER": "prometheus,otlp",
                "OTEL_METRIC_EXPORT_INTERVAL": "300",
                "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-1",
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_BSP_SCHEDULE_DELAY": "100",
                **collector.otlp(request.param),
            }
            with shop(directory, sending) as service:
                road = Road(service, collector, cloud, traces)
                # Which worker takes a request is chance.
                until(lambda: len(road.instances_after_everything()) == WORKERS, "a request at every worker")
                use(service)
                until(lambda: road.pushed().total("predictions_total", status="success") >= 30, "the pushes")
                yield road


def test_nothing_that_arrives_is_wrong(road: Road) -> None:
    assert road.cloud.problems == []
    assert set(road.cloud.statuses) == {204}


def test_both_roads_give_the_same_series(road: Road) -> None:
    def same() -> bool:
        scraped = {(RENAMED.get(name, name), labels) for name, labels in road.scraped()}
        assert len(scraped) > 400
        return scraped == set(road.pushed())

    until(same, "the same series on both roads")


def test_what_is_counted_comes_to_the_same(road: Road) -> None:
    def counted(samples: Samples) -> dict[object, float]:
        kept = without_families(samples, *OF_EACH_WORKER)
        return {
            (RENAMED.get(name, name), labels): value
            for (name, labels), value in kept.items()
            if name.endswith(COUNTED)
        }

    def same() -> bool:
        return counted(road.pushed()) == pytest.approx(counted(road.scraped()))

    until(same, "the same values on both roads")


def test_every_worker_is_an_instance_under_the_name_that_was_given(road: Road) -> None:
    expected = {f"pod-1/{pid}" for pid in road.service.wait_for_workers(WORKERS)}
    until(lambda: road.instances() == expected, "an instance of every worker")


def test_every_series_has_its_job_and_its_environment(road: Road) -> None:
    for name, labels in road.cloud.latest():
        has = dict(labels)
        assert has["job"] == "shop", name
        assert name == "target_info" or has["deployment_environment_name"] == ENVIRONMENT, name


def test_exemplars_lead_to_a_trace(road: Road) -> None:
    traces = {span.trace_id for span in until(road.traces.spans, "spans")}
    found = {
        dict(exemplar.labels)["trace_id"]
        for labels, exemplars in road.cloud.exemplars.items()
        if dict(labels)["__name__"] in ("http_request_duration_seconds_bucket", "llm_duration_seconds_bucket")
        for exemplar in exemplars
    }
    assert found
    assert found & traces


def test_a_killed_worker_is_followed_by_another_instance(road: Road) -> None:
    """The last test of this module."""
    killed = road.service.workers()[0]
    road.service.kill(killed)
    (new,) = until(lambda: set(road.service.wait_for_workers(WORKERS)) - {killed}, "workers") - {
        int(instance.partition("/")[2]) for instance in road.instances()
    }

    def new_is_seen() -> bool:
        use(road.service, 8)
        return f"pod-1/{new}" in road.instances()

    until(new_is_seen, "the new worker's push")
    assert road.cloud.problems == []
