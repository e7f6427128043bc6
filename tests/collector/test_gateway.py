"""Many machines: an agent on each, and a gateway that alone knows the cloud."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.collector.roads import by_value_of_le, exposed, shop, use, with_labels, without_families
from tests.support.cloud import Cloud
from tests.support.collector import Collector, needs_collector, variables
from tests.support.otlp import OtlpReceiver
from tests.support.processes import Service
from tests.support.tap import Tap
from tests.support.waiting import until

pytestmark = needs_collector

AGENTS = {"GATEWAY_USER": "agent", "GATEWAY_PASSWORD": "a-password"}
OF_THE_SCRAPE = ("up", "scrape_", "target_info")


def gateway(directory: Path, cloud: Cloud, traces: OtlpReceiver) -> Collector:
    """A gateway that is ready to run."""
    env = variables(cloud.url, f"http://127.0.0.1:{traces.http_port}/otlp")
    return Collector(directory / "gateway", {**env, **AGENTS}, "gateway.yaml")


def agent(directory: Path, gateway_port: int, target: str, password: str = "a-password") -> Collector:
    """An agent that is ready to run."""
    env = {
        **AGENTS,
        "GATEWAY_URL": f"http://127.0.0.1:{gateway_port}",
        "GATEWAY_PASSWORD": password,
        "APP_JOB": "shop",
        "APP_TARGETS": f"[{target}]",
    }
    exporter = "--set=exporters.otlp_http/gateway"
    options = (
        f"{exporter}.sending_queue.batch.flush_timeout=50ms",
        f"{exporter}.retry_on_failure.initial_interval=200ms",
    )
    return Collector(directory / "agent", env, "agent.yaml", options)


class Road(NamedTuple):
    """Everything that runs, but the gateway, which is stopped and started."""

    directory: Path
    service: Service
    tap: Tap
    gateway: Collector
    cloud: Cloud
    traces: OtlpReceiver

    def assert_all_arrived(self) -> None:
        """Every scrape that the service answered is in the cloud, once, in its order."""
        answered = len(self.tap.scrapes)
        until(lambda: len([s for s in self.cloud.samples("up") if s.value]) >= answered, "every scrape", 150)
        assert self.cloud.problems == []


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    directory = tmp_path_factory.mktemp("gateway")
    with contextlib.ExitStack() as stack:
        traces = stack.enter_context(OtlpReceiver())
        cloud = stack.enter_context(Cloud())
        tap = stack.enter_context(Tap())
        behind = stack.enter_context(gateway(directory, cloud, traces))
        local = stack.enter_context(agent(directory, behind.http_port, tap.target))
        tracing = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_SCHEDULE_DELAY": "100", **local.otlp()}
        service = stack.enter_context(shop(directory, tracing))
        use(service)
        tap.url = service.url
        until(lambda: cloud.samples("http_requests_total", endpoint="/fail"), "the counters")
        yield Road(directory, service, tap, behind, cloud, traces)


def test_the_series_are_those_of_one_collector(road: Road) -> None:
    arrived_ms = [sample.timestamp_ms for sample in road.cloud.samples("up", job="shop") if sample.value]

    sent = without_families(exposed(road.tap.answer_at(arrived_ms[-1]).text), "target_info")
    arrived = without_families(road.cloud.at(arrived_ms[-1], job="shop"), *OF_THE_SCRAPE)

    added = {"job": "shop", "instance": road.tap.target, "deployment_environment_name": "production"}
    assert len(sent) > 100
    assert by_value_of_le(arrived) == by_value_of_le(with_labels(sent, **added))
    assert road.cloud.problems == []


def test_traces_take_the_same_road(road: Road) -> None:
    until(lambda: "GET /predict/<name>" in {span.name for span in road.traces.spans()}, "the spans")


def test_a_gateway_that_is_restarted_misses_nothing(road: Road) -> None:
    road.gateway.stop()
    seen = len(road.tap.scrapes)
    until(lambda: len(road.tap.scrapes) > seen + 2, "scrapes without a gateway")
    with road.gateway:
        road.assert_all_arrived()


def test_a_service_that_stops_ends_its_series(road: Road) -> None:
    """The last test of this module."""
    with road.gateway:
        road.service.stop()
        until(lambda: road.cloud.latest(__name__="up").total("up", job="shop") == 0, "up 0")
        until(lambda: not without_families(road.cloud.latest(job="shop"), *OF_THE_SCRAPE), "the series' end")


def test_an_agent_that_the_gateway_does_not_know_is_refused(tmp_path: Path) -> None:
    with OtlpReceiver() as traces, Cloud() as cloud, gateway(tmp_path, cloud, traces) as behind, Tap() as tap:
        with agent(tmp_path, behind.http_port, tap.target, "another") as stranger:
            until(lambda: stranger.remedies, "the remedy")
        assert stranger.remedies[0] == (
            "collector: 401: the endpoint does not accept the credentials, and the data is dropped. "
            "Check that GATEWAY_USER and GATEWAY_PASSWORD are those of the gateways; then start again."
        )
        assert cloud.statuses == []
