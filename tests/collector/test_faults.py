"""What goes wrong between a service and the cloud, and what comes of it.

`OUTAGE_S=60 pytest tests/collector/test_faults.py -k down` has an outage of a minute, as `make outage` does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.collector.roads import receivers, shop, use
from tests.support.cloud import TOKEN, Cloud, Sample
from tests.support.collector import Collector, needs_collector, variables
from tests.support.otlp import OtlpReceiver
from tests.support.processes import Service
from tests.support.samples import parse_samples
from tests.support.tap import Tap
from tests.support.waiting import until
from tests.support.web import request

pytestmark = needs_collector

OUTAGE_S = float(os.environ.get("OUTAGE_S", "3"))
NOBODY = {"APP_TARGETS": "[127.0.0.1:9]"}
"""A target that does not answer: what is sent is that it is down."""
IMPATIENT = (
    "--set=processors.batch.timeout=50ms",
    "--set=exporters.prometheus_remote_write/cloud.retry_on_failure.initial_interval=200ms",
    "--set=exporters.otlp_http/cloud.sending_queue.batch.flush_timeout=50ms",
)


class Running(NamedTuple):
    """A service, scraped by a collector."""

    service: Service
    tap: Tap
    collector: Collector
    cloud: Cloud

    def requests(self) -> list[Sample]:
        """The counter of the requests, as it arrived."""
        return self.cloud.samples("http_requests_total", endpoint="/predict/<name>")

    def wait_for_scrapes(self, count: int) -> None:
        """Wait until the service was scraped so many times more."""
        seen = len(self.tap.scrapes)
        until(lambda: len(self.tap.scrapes) >= seen + count, f"{count} scrapes", 20 + 0.6 * count)

    def assert_all_arrived(self) -> None:
        """Every scrape that the service answered is in the cloud, once, in its order."""

        def has_all() -> bool:
            answered = len(self.tap.scrapes)
            return len([sample for sample in self.cloud.samples("up") if sample.value]) >= answered

        until(has_all, "every scrape in the cloud", 150)
        assert self.cloud.problems == []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("faults")
    tap = Tap()
    with shop(directory, {}) as service, Cloud() as cloud, tap:
        tap.url = service.url
        env = {**variables(cloud.url), "APP_JOB": "shop", "APP_TARGETS": f"[{tap.target}]"}
        with Collector(directory, env, options=IMPATIENT) as collector:
            use(service)
            running = Running(service, tap, collector, cloud)
            until(running.requests, "the counter of requests")
            yield running


def test_an_endpoint_that_is_down_and_comes_back_misses_nothing(running: Running) -> None:
    running.wait_for_scrapes(1)
    running.cloud.go_down()
    until_s = time.monotonic() + OUTAGE_S
    sent = 0
    while time.monotonic() < until_s:
        use(running.service, 3)
        sent += 3
        running.wait_for_scrapes(1)
    before = running.requests()[-1].value
    running.cloud.come_up()
    running.wait_for_scrapes(1)

    running.assert_all_arrived()
    after = running.requests()[-1].value
    assert before is not None
    assert after is not None
    assert after >= before + sent


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_refusal_for_now_is_tried_again(running: Running, status: int) -> None:
    running.cloud.answer_with(status)
    refused = len(running.cloud.statuses)
    until(lambda: running.cloud.statuses[refused:].count(status) >= 3, "three refusals")
    running.cloud.answer_with(0)

    running.wait_for_scrapes(1)
    running.assert_all_arrived()
    remedy = {
        429: "429: the endpoint's limit is reached; the data waits and is sent again. "
        "See the limits of your stack, and docs/scaling.md for what to do with less.",
    }.get(status, f"{status}: the endpoint has a problem of its own; the data waits and is sent again.")
    assert running.collector.remedies.count(f"collector: {remedy}") == 1


def test_a_worker_that_is_killed_leaves_no_sample_out_of_order(running: Running) -> None:
    use(running.service, 20)
    running.wait_for_scrapes(1)

    running.service.kill(running.service.workers()[0])
    running.service.wait_for_workers(4)
    use(running.service, 20)
    running.wait_for_scrapes(2)

    running.assert_all_arrived()
    values = [sample.value for sample in running.requests() if sample.value is not None]
    assert values == sorted(values)


def test_a_bad_request_is_dropped_and_explained(running: Running) -> None:
    """Among the last tests of this module: what was scraped meanwhile is lost."""
    running.cloud.answer_with(400)
    refused = len(running.cloud.statuses)
    until(lambda: 400 in running.cloud.statuses[refused:], "a refusal")
    line = until(lambda: remedy_for(running.collector, "400"), "the remedy")
    running.cloud.answer_with(0)

    assert line == (
        "collector: 400: the endpoint refuses these samples, and they are dropped; "
        "its reason is in the line above. Most often two senders write one series: "
        "give every service and worker its own job and instance."
    )
    assert "a fault for the test" in running.collector.log
    arrived = len(running.requests())
    until(lambda: len(running.requests()) > arrived, "what comes after")
    assert running.cloud.problems == []


def test_credentials_that_are_wrong_are_named_with_their_remedy(tmp_path: Path) -> None:
    with OtlpReceiver(authorize=lambda header: False) as traces, Cloud() as cloud:
        env = {
            **variables(cloud.url, f"http://127.0.0.1:{traces.http_port}/otlp"),
            "GC_TOKEN": "glc_wrong",
            **NOBODY,
        }
        with Collector(tmp_path, env, options=IMPATIENT) as collector:
            line = until(lambda: remedy_for(collector, "401"), "the remedy")
    assert line == (
        "collector: 401: the endpoint does not accept the credentials, and the data is dropped. "
        "Check GC_PROM_USER for metrics and GC_OTLP_USER for traces, which differ, and that GC_TOKEN is of a "
        "policy of the same stack with the scopes metrics:write and traces:write; then start again."
    )
    assert set(cloud.statuses) == {401}
    assert TOKEN not in collector.log
    assert "glc_wrong" not in collector.log


def test_credentials_that_are_wrong_for_traces_only_are_named_too(tmp_path: Path) -> None:
    with OtlpReceiver(authorize=lambda header: False) as traces, Cloud() as cloud:
        env = variables(cloud.url, f"http://127.0.0.1:{traces.http_port}/otlp")
        with Collector(tmp_path, env, options=IMPATIENT) as collector:
            send_a_span(collector)
            until(lambda: remedy_for(collector, "401"), "the remedy")
            assert 401 not in cloud.statuses


def test_an_address_with_nothing_behind_it_is_named(tmp_path: Path) -> None:
    with Cloud() as cloud:
        env = {**variables(cloud.url.replace("/api/prom/push", "/other/api/prom/push")), **NOBODY}
        with Collector(tmp_path, env, options=IMPATIENT) as collector:
            line = until(lambda: remedy_for(collector, "404"), "the remedy")
    assert line == (
        "collector: 404: there is nothing at that address, and the data is dropped. "
        "GC_PROM_URL ends in /api/prom/push, GC_OTLP_URL in /otlp; check them, and start again."
    )


def test_a_stop_while_the_endpoint_is_down_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    with Cloud() as cloud:
        env = {**variables(cloud.url), "STOP_S": "1", **NOBODY}
        collector = Collector(tmp_path, env, options=IMPATIENT)
        with collector:
            until(lambda: cloud.samples("up"), "a scrape")
            cloud.go_down()
            until(lambda: waiting_batches(collector) > 0, "a batch that waits")
            collector.process.terminate()
            assert collector.process.wait(10) == -signal.SIGKILL
    (line,) = collector.remedies
    assert line == (
        "collector: the endpoint was not reached for 1 s: "
        "metrics that wait in memory are given up, spans are on disk"
    )


def test_counters_continue_over_a_restart_of_the_collector(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(receivers(tmp_path / "behind"))
        service = stack.enter_context(shop(tmp_path, {}))
        cloud = stack.enter_context(Cloud([f"{server.url}/api/v1/write" for server in behind.values()]))
        env = {
            **variables(cloud.url),
            "APP_JOB": "shop",
            "APP_TARGETS": f"[{service.url.removeprefix('http://')}]",
        }
        use(service)
        for number in range(2):
            with Collector(tmp_path / f"collector-{number}", env, options=IMPATIENT):
                until(counted(cloud, 30 * (number + 1)), "the requests")
            use(service)
        with Collector(tmp_path / "collector-2", env, options=IMPATIENT):
            until(counted(cloud, 90), "the requests")

        values = [sample.value for sample in cloud.samples(*COUNTER[:1], **COUNTER[1]) if sample.value]
        assert values == sorted(values)
        assert cloud.problems == []
        selector = 'http_requests_total{endpoint="/predict/<name>"}[5m]'
        for version, server in behind.items():
            assert server.value(f"resets({selector})") == 0, version
            assert server.value(f"max_over_time({selector}) - min_over_time({selector})") == 60, version


COUNTER = ("http_requests_total", {"endpoint": "/predict/<name>"})


def waiting_batches(collector: Collector) -> float:
    """How many batches of metrics wait in the collector's queue."""
    own = parse_samples(request(f"http://127.0.0.1:{collector.own_port}/metrics").text)
    return own.total("otelcol_exporter_queue_size", data_type="metrics")


def counted(cloud: Cloud, requests: int) -> Callable[[], bool]:
    """Tells whether so many requests have arrived."""
    return lambda: cloud.samples(COUNTER[0], **COUNTER[1])[-1].value == requests


def remedy_for(collector: Collector, status: str) -> str:
    """The line that explains a status; empty before there is one."""
    return next((line for line in collector.remedies if line.startswith(f"collector: {status}: ")), "")


def send_a_span(collector: Collector) -> None:
    """Push one span to the collector."""
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "a span",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    answer = request(f"http://127.0.0.1:{collector.http_port}/v1/traces", json_body=body)
    assert answer.status == 200, answer.text
