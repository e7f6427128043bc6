"""A real Prometheus scrapes the service with four workers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.classifier import classifier, image
from tests.support.processes import Service
from tests.support.prometheus import prometheus_server
from tests.support.waiting import until

PREDICTIONS, HEALTH = 60, 40


@pytest.mark.prometheus
def test_prometheus_counts_every_request_of_four_workers_also_after_one_is_killed(tmp_path: Path) -> None:
    with classifier(tmp_path / "log") as service:
        target = f"127.0.0.1:{service.port}"
        with prometheus_server(tmp_path / "prometheus", {"classifier": target}) as prometheus:
            workers = service.wait_for_workers(4)

            def send() -> None:
                for number in range(PREDICTIONS):
                    assert service.post("/predict", {"image": image(number)}).status == 200
                for _ in range(HEALTH):
                    assert service.get("/health").status == 200

            def wait_for(total: int) -> None:
                until(
                    lambda: prometheus.value("sum(http_requests_total)") == total,
                    f"sum(http_requests_total) == {total}",
                    timeout_s=30.0,
                )

            send()
            wait_for(PREDICTIONS + HEALTH)
            service.kill(workers[0])
            send()
            wait_for(2 * (PREDICTIONS + HEALTH))

            assert prometheus.target_health("classifier") == ("up", "")
            assert sorted(
                prometheus.query("sum by (endpoint, method, status) (http_requests_total)"), key=str
            ) == [
                ({"endpoint": "/health", "method": "GET", "status": "200"}, 2.0 * HEALTH),
                ({"endpoint": "/predict", "method": "POST", "status": "200"}, 2.0 * PREDICTIONS),
            ]
            assert prometheus.value("model_state") == 1.0
            p95_s = prometheus.value(
                "histogram_quantile(0.95, sum by (le) (http_request_duration_seconds_bucket))"
            )
            assert 0 < (p95_s or 0) < 5


HOSTILE = r"""
import sys
import otel_obs
from flask import Flask
from opentelemetry.sdk.resources import Resource
otel_obs.configure(resource=Resource({
    "service.name": "shop", "job": "theirs", "instance": "theirs too", "__name__": "another", "le": "0.5",
    "same.name": "dots", "same_name": "none", "same-name": "dashes", "9th": "digit",
    "é": "letter", "a\0b": "NUL",
    "a\nc": "line", 'a"d': "quote", "big": "x" * 1_000_000, "k" * 1_000_000: "big name",
    "list": ["a", "b"], "empty": "", "nul": "a\0b", "surrogate": "a\ud800b", "lines": "a\nb\rc",
    "quotes": 'say "hi" \\n', "flag": True,
}))
app = Flask(__name__)
otel_obs.instrument(app)
app.run(port=int(sys.argv[1]))
"""


@pytest.mark.prometheus
def test_whatever_a_resource_holds_prometheus_stores_it(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(HOSTILE)
    shop = Service(
        *(sys.executable, "shop.py", "{port}"), cwd=tmp_path, log_file=tmp_path / "log", ready_path="/metrics"
    )
    with (
        shop as service,
        prometheus_server(tmp_path / "prometheus", {"shop": f"127.0.0.1:{service.port}"}) as prometheus,
    ):
        until(lambda: prometheus.query("target_info"), "target_info", timeout_s=30.0)
        ((labels, value),) = prometheus.query("target_info")
    assert value == 1.0
    del labels["instance"]
    assert labels.pop("k" * 2047 + "_") == "big name"
    assert labels == {
        "__name__": "target_info",
        "job": "shop",
        "exported_job": "theirs",
        "exported_instance": "theirs too",
        "_name_": "another",
        "service_name": "shop",
        "le": "0.5",
        "same_name": "dashes;dots;none",
        "_th": "digit",
        "_": "letter",
        "a_b": "NUL",
        "a_c": "line",
        "a_d": "quote",
        "big": "x" * 2047 + "…",
        "list": '["a", "b"]',
        "nul": "a\0b",
        "surrogate": "a\ufffdb",
        "lines": "a\nb\rc",
        "quotes": 'say "hi" \\n',
        "flag": "true",
    }
