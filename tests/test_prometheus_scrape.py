"""A real Prometheus scrapes the service with four workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.classifier import classifier, image
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
