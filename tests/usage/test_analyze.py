"""What nobody uses and what is not there, by a real Prometheus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_command import otel_obs
from tests.support.endpoints import Endpoint, always
from tests.support.ports import free_port
from tests.support.prometheus import BINARY, MISSING, prometheus_server
from tests.support.waiting import until

PAGE = """\
# TYPE hits_total counter
hits_total{path="/"} 1
# TYPE idle gauge
idle{kind="a"} 1
idle{kind="b"} 1
# TYPE took_seconds histogram
took_seconds_bucket{le="+Inf"} 1
took_seconds_sum 1
took_seconds_count 1
"""
RULES = """\
groups:
- name: g
  rules:
  - record: hits:rate
    expr: sum by (path) (rate(hits_total[5m]))
  - alert: Absent
    expr: never_there > 0
"""
BOARD = {
    "panels": [
        {"title": "Mean", "targets": [{"expr": "took_seconds_sum / took_seconds_count"}]},
        {"title": "Recorded", "targets": [{"expr": "hits:rate"}]},
        {"title": "Status", "targets": [{"expr": 'hits_total{job="shop",code="200"}'}]},
    ]
}


@pytest.mark.skipif(BINARY is None, reason=MISSING)
def test_what_is_unused_and_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "board.json").write_text(json.dumps(BOARD))
    with (
        Endpoint(always(PAGE)) as service,
        prometheus_server(tmp_path / "p", {"shop": f"127.0.0.1:{service.port}"}, rules=RULES) as prometheus,
    ):
        options = ["--prometheus", prometheus.url, "--dashboards", str(tmp_path / "board.json"), "--json"]

        def unused() -> list[dict[str, object]]:
            done = otel_obs("analyze", *options, "--job", "shop")
            return json.loads(done.stdout)["unused"] if done.returncode == 1 else []

        until(lambda: unused() == [{"family": "idle", "series": 2}], "the series to be there")
        done = otel_obs("analyze", *options, "--job", "shop")
        nobody = otel_obs("analyze", *options, "--job", "nobody")

    found = json.loads(done.stdout)
    assert [(each["where"].split(": ", 1)[1], each["why"]) for each in found["missing"]] == [
        ("alert Absent", "there is no never_there"),
        ("Status", "hits_total has no label code"),
    ]
    assert nobody.returncode == 2
    assert "has no series of job 'nobody'" in nobody.stderr


def test_what_is_no_prometheus_is_said_in_one_line() -> None:
    with Endpoint(always("hello\n")) as endpoint:
        done = otel_obs("analyze", "--prometheus", endpoint.url.removesuffix("/metrics"))
    absent = otel_obs("analyze", "--prometheus", f"http://127.0.0.1:{free_port()}")

    assert (done.returncode, absent.returncode) == (2, 2)
    assert "not as Prometheus does" in done.stderr
    assert "cannot be reached" in absent.stderr
    assert "Traceback" not in done.stderr + absent.stderr
