"""Grafana Alloy with `config.alloy`: the same series arrive as with the collector.

Needs Alloy, as `alloy` on PATH or named by `ALLOY`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
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
    without_labels,
)
from tests.support.cloud import Cloud
from tests.support.collector import DIRECTORY, variables
from tests.support.otlp import OtlpReceiver
from tests.support.ports import free_port
from tests.support.processes import Service
from tests.support.prometheus import PrometheusServer
from tests.support.samples import Samples
from tests.support.tap import Tap
from tests.support.waiting import until

ALLOY = os.environ.get("ALLOY") or shutil.which("alloy")
pytestmark = pytest.mark.skipif(
    ALLOY is None, reason="Grafana Alloy was not found on PATH, nor named by ALLOY"
)

OF_THE_SCRAPE = ("up", "scrape_", "target_info")
OF_THE_ANSWER = (
    "otel_obs_scrape_duration_",
    "otel_obs_series",
    "otel_obs_worker",
    "process_",
    "python_",
    "system_",
)


class Road(NamedTuple):
    """Everything that runs; `pushing` is a service that is not scraped."""

    service: Service
    pushing: Service
    tap: Tap
    cloud: Cloud
    traces: OtlpReceiver
    behind: dict[str, PrometheusServer]

    @property
    def labels(self) -> dict[str, str]:
        """What Alloy adds to every series that it scrapes."""
        return {"job": "shop", "instance": self.tap.target, "deployment_environment_name": ENVIRONMENT}


class Alloy(Service):
    """A running Alloy, with ports of its own."""

    def __init__(self, directory: Path, env: dict[str, str]) -> None:
        self.grpc_port, self.http_port = free_port(), free_port()
        super().__init__(
            str(ALLOY),
            "run",
            "--disable-reporting",
            f"--storage.path={directory / 'alloy'}",
            "--server.http.listen-addr=127.0.0.1:{port}",
            str(DIRECTORY / "config.alloy"),
            env={
                **env,
                "OTLP_GRPC": f"127.0.0.1:{self.grpc_port}",
                "OTLP_HTTP": f"127.0.0.1:{self.http_port}",
                "SCRAPE_INTERVAL": "500ms",
            },
            log_file=directory / "alloy.log",
            ready_path="/-/ready",
            ready_s=60,
        )

    def otlp(self) -> dict[str, str]:
        """The variables with which a service sends here."""
        return {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.http_port}",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    directory = tmp_path_factory.mktemp("alloy")
    (directory / "pushing").mkdir()
    pushed = {
        "OTEL_SERVICE_NAME": "pushing",
        "OTEL_METRICS_EXPORTER": "prometheus,otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(receivers(directory))
        traces, tap = stack.enter_context(OtlpReceiver()), stack.enter_context(Tap())
        cloud = stack.enter_context(Cloud([f"{server.url}/api/v1/write" for server in behind.values()]))
        env = variables(cloud.url, f"http://127.0.0.1:{traces.http_port}/otlp")
        target = {"APP_JOB": "shop", "APP_TARGETS": f"[{tap.target}]"}
        alloy = stack.enter_context(Alloy(directory, {**env, **target}))
        service = stack.enter_context(shop(directory, alloy.otlp()))
        pushing = stack.enter_context(shop(directory / "pushing", {**alloy.otlp(), **pushed}))
        tap.url = service.url
        for each in (service, pushing):
            use(each)
        until(lambda: len(cloud.latest(__name__="http_requests_total", job="shop")) == 3, "the counters")
        seen = len(tap.scrapes)
        until(lambda: len(tap.scrapes) > seen + 1, "two more scrapes")
        yield Road(service, pushing, tap, cloud, traces, behind)


def test_every_scraped_series_arrives_with_its_name_labels_and_value(road: Road) -> None:
    times = [sample.timestamp_ms for sample in road.cloud.samples("up", job="shop")]
    number = min(len(times), len(road.tap.scrapes)) - 1
    sent = without_families(exposed(road.tap.scrapes[number].text), "target_info")
    assert len(sent) > 100

    arrived = without_families(road.cloud.at(times[number], job="shop"), *OF_THE_SCRAPE)

    created = {key: value for key, value in arrived.items() if key[0].endswith("_created")}
    rest = Samples({key: value for key, value in arrived.items() if key not in created})
    assert by_value_of_le(rest) == by_value_of_le(with_labels(sent, **road.labels))
    assert created  # docs/collector.md lists them
    assert road.cloud.problems == []
    assert set(road.cloud.statuses) == {204}


def test_pushed_series_are_those_of_a_scrape(road: Road) -> None:
    def scraped() -> Samples:
        answer = road.pushing.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
        return without_families(by_value_of_le(exposed(answer.text)), "target_info", *OF_THE_ANSWER)

    def pushed() -> Samples:
        arrived = without_labels(
            road.cloud.latest(job="pushing"), "job", "instance", "deployment_environment_name"
        )
        return without_families(by_value_of_le(arrived), "target_info", *OF_THE_ANSWER)

    until(lambda: pushed() == scraped(), "what was pushed")
    assert len(pushed()) > 50


def test_exemplars_lead_to_traces(road: Road) -> None:
    traces = {span.trace_id for span in until(road.traces.spans, "spans")}
    found = {
        dict(exemplar.labels)["trace_id"]
        for labels, exemplars in road.cloud.exemplars.items()
        if dict(labels)["__name__"] == "http_request_duration_seconds_bucket"
        for exemplar in exemplars
    }
    assert found
    assert found <= traces


def test_a_service_that_stops_ends_its_series_and_is_down_under_the_same_labels(road: Road) -> None:
    """The last test of this module: it stops the service."""
    road.service.stop()
    until(lambda: road.cloud.latest(__name__="up").value("up", **road.labels) == 0, "up 0")
    until(lambda: not without_families(road.cloud.latest(job="shop"), *OF_THE_SCRAPE), "the series' end")
