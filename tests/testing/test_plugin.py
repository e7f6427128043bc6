"""Fixtures for tests of an application: each test has metrics of its own, whatever else runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import clean_env

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(400)

APP = """
import otel_obs
from flask import Flask
from opentelemetry import metrics

app = Flask(__name__)
jobs = metrics.get_meter("shop").create_counter("jobs")

@app.get("/items/<int:number>")
def item(number):
    jobs.add(1, {"queue": "a"})
    otel_obs.record_prediction(success=True, inference_time=0.5)
    return "x"

otel_obs.instrument(app)
"""


def run(directory: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest in a directory of its own, with the plugin as an installed package has it."""
    (directory / "shop.py").write_text(APP)
    (directory / "test_it.py").write_text(
        f"from shop import app, jobs\nimport otel_obs\nimport pytest\n{tests}"
    )
    plugin = ["-p", "no:otel_obs", "-p", "otel_obs.testing.plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", *plugin, *options]
    env = clean_env({"PYTHONPATH": f"{ROOT}:{directory}"})
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=200)


MANY = """
@pytest.mark.parametrize("n", range(12))
def test_nothing_of_others(n, metrics_recorded):
    app.test_client().get("/items/7")
    assert metrics_recorded.value("jobs_total") == 1
    assert metrics_recorded.value("jobs_total", queue="a") == 1
    assert metrics_recorded.value("predictions_total", status="success") == 1
    assert metrics_recorded.value("http_requests_total", endpoint="/items/<int:number>") == 1
    assert metrics_recorded.value("inference_duration_seconds_sum") == 0.5
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_no_test_sees_what_another_has_recorded(options: tuple[str, ...], tmp_path: Path) -> None:
    done = run(tmp_path, MANY, *options)

    assert "12 passed" in done.stdout, done.stdout


DELTAS = """
def test_a_block(metrics_recorded):
    jobs.add(5)
    with metrics_recorded.delta() as recorded:
        jobs.add(2)
        jobs.add(1, {"queue": "b"})
        with pytest.raises(AssertionError, match="behind the block"):
            recorded.value("jobs_total")
    jobs.add(100)
    assert recorded.value("jobs_total") == 3
    assert recorded.value("jobs_total", queue="b") == 1
    assert metrics_recorded.value("jobs_total") == 108

def test_a_clock(metrics_recorded, fixed_clock):
    with otel_obs.Timer(otel_obs.catalog.model.inference_duration_seconds):
        fixed_clock.advance(0.25)
    assert metrics_recorded.value("inference_duration_seconds_sum") == 0.25
    with pytest.raises(ValueError, match="-1 seconds cannot pass"):
        fixed_clock.advance(-1)

def test_a_label_that_is_not_there(metrics_recorded):
    jobs.add(1, {"queue": "a"})
    with pytest.raises(AssertionError, match="jobs_total has no label que; it has ..queue"):
        metrics_recorded.value("jobs_total", que="a")

def test_a_page(metrics_recorded):
    jobs.add(2, {"queue": "a"})
    metrics_recorded.assert_exposition('''
        # TYPE jobs_total counter
        jobs_total{queue="a"} 2.0
    ''')
    with pytest.raises(AssertionError, match='not on the page:\\\\n  jobs_total{queue="a"} 3.0'):
        metrics_recorded.assert_exposition('jobs_total{queue="a"} 3.0')

@pytest.mark.otel_obs(namespace="shop")
def test_settings(metrics_recorded):
    app.test_client().get("/items/7")
    assert metrics_recorded.value("shop_http_requests_total") == 1
"""


def test_values_deltas_clock_page_and_settings(tmp_path: Path) -> None:
    done = run(tmp_path, DELTAS)

    assert "5 passed" in done.stdout, done.stdout


TROUBLE = """
def test_all_is_well(metrics_recorded):
    jobs.add(1)

def test_a_drop(metrics_recorded):
    jobs.add("many")

def test_the_same_drop_again(metrics_recorded):
    jobs.add("many")

def test_an_error(metrics_recorded):
    from opentelemetry import metrics
    def broken(options):
        raise RuntimeError("no camera")
    metrics.get_meter("shop").create_observable_gauge("cameras", [broken])
    metrics_recorded.exposition()
"""


def test_what_a_service_only_logs_fails_the_test(tmp_path: Path) -> None:
    done = run(tmp_path, TROUBLE)

    assert "4 passed, 3 errors" in done.stdout, done.stdout
    assert done.stdout.count("MeasuringError: otel_obs has logged:") >= 3
    assert "RuntimeError: no camera" in done.stdout


def test_the_plugin_costs_tests_that_do_not_use_it_nothing(tmp_path: Path) -> None:
    loaded = "sorted(m for m in sys.modules if m.startswith('opentelemetry'))"
    code = f"import otel_obs.testing.plugin, sys; print({loaded})"
    env = clean_env({"PYTHONPATH": str(ROOT)})

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)

    assert done.stderr == ""
    assert done.stdout == "[]\n"
