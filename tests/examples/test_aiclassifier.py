"""The classifier under its real server with four workers, and its /metrics by name, label and bucket."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.classifier import DIRECTORY, classifier, image
from tests.support.processes import Service, tool
from tests.support.samples import Samples
from tests.support.systems import label_names
from tests.support.waiting import until

NEW_IMAGES = 30
REPEATS = 4
PREDICTED = NEW_IMAGES * REPEATS
REFUSED = 5
HEALTH = 7
PAGES = 3
SCANNED = 6
SENT = PREDICTED + REFUSED + HEALTH + PAGES + SCANNED


def drive(service: Service) -> Samples:
    """Send what the constants above say; every metric once all of it is counted."""
    for _ in range(REPEATS):
        for number in range(NEW_IMAGES):
            assert service.post("/predict", {"image": image(number)}).status == 200
    for _ in range(REFUSED):
        assert service.post("/predict", {"image": [[1]]}).status == 400
    for path, times, status in ("/health", HEALTH, 200), ("/", PAGES, 200), ("/wp-login.php", SCANNED, 404):
        for _ in range(times):
            assert service.get(path).status == status
    return when_counted(service, SENT)


def when_counted(service: Service, requests: int) -> Samples:
    """Every metric, once at least that many requests are counted."""

    def scrape() -> Samples | None:
        samples = service.scrape()
        return samples if samples.total("http_requests_total") >= requests else None

    found = until(scrape, f"{requests} requests in /metrics")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with classifier(tmp_path_factory.mktemp("classifier") / "log", env={"APP_ENV": "test"}) as running:
        running.wait_for_workers(4)
        yield running


@pytest.fixture(scope="module")
def samples(service: Service) -> Samples:
    return drive(service)


def test_every_request_is_counted_once_by_method_endpoint_and_status(samples: Samples) -> None:
    counted = {
        (labels["method"], labels["endpoint"], labels["status"]): samples.value(
            "http_requests_total", **labels
        )
        for labels in samples.labels("http_requests_total")
    }

    assert counted == {
        ("POST", "/predict", "200"): PREDICTED,
        ("POST", "/predict", "400"): REFUSED,
        ("GET", "/health", "200"): HEALTH,
        ("GET", "/", "200"): PAGES,
        ("GET", "__unmatched__", "404"): SCANNED,
    }


def test_every_metric_of_its_groups_is_there_with_its_labels(samples: Samples) -> None:
    shown = label_names(samples)
    expected = {
        "http_requests_total": {"method", "endpoint", "status"},
        "http_request_duration_seconds": {"method", "endpoint"},
        "http_requests_in_progress": {"method"},
        "predictions_total": {"status"},
        "inference_duration_seconds": set(),
        "preprocessing_duration_seconds": set(),
        "model_state": set(),
        "model_load_duration_seconds": set(),
        "app_info": {"version", "environment", "python_version"},
        "cache_hit_rate": set(),
        "cache_size_current": set(),
        "cache_memory_bytes": set(),
        "cache_hits_total": set(),
        "cache_misses_total": set(),
        "system_memory_percent": set(),
        "system_cpu_percent": set(),
        "process_memory_bytes": {"type"},
        "python_threads": set(),
        "python_gc_pause_seconds": {"generation"},
        "python_info": {"implementation", "major", "minor", "patchlevel", "version"},
        "python_gc_objects_collected_total": {"generation"},
        "python_gc_objects_uncollectable_total": {"generation"},
        "python_gc_collections_total": {"generation"},
        "process_cpu_seconds_total": set(),
        "process_resident_memory_bytes": set(),
        "process_virtual_memory_bytes": set(),
        "process_start_time_seconds": set(),
        "process_open_fds": set(),
        "process_max_fds": set(),
        "otel_obs_workers": set(),
    }

    assert {family: shown.get(family) for family in expected} == expected


def test_the_exposition_has_the_line_that_the_teams_dashboards_read(
    service: Service, samples: Samples
) -> None:
    line = f'http_requests_total{{endpoint="/predict",method="POST",status="200"}} {PREDICTED}.0'

    assert line in service.get("/metrics").text.splitlines()


def test_request_durations_have_the_services_own_buckets(samples: Samples) -> None:
    labels = {"method": "POST", "endpoint": "/predict"}

    assert samples.bounds("http_request_duration_seconds", **labels) == [
        "0.01", "0.05", "0.1", "0.5", "1.0", "5.0", "10.0", "30.0", "+Inf",
    ]  # fmt: skip
    assert samples.value("http_request_duration_seconds_count", **labels) == PREDICTED + REFUSED


def test_inferences_have_the_services_own_buckets_and_one_observation_a_miss(samples: Samples) -> None:
    assert samples.bounds("inference_duration_seconds") == [
        "0.05", "0.1", "0.2", "0.5", "1.0", "2.0", "5.0", "+Inf",
    ]  # fmt: skip
    assert samples.value("inference_duration_seconds_count") == samples.value("cache_misses_total")


def test_predictions_are_counted_by_outcome(samples: Samples) -> None:
    hits, misses = samples.value("cache_hits_total"), samples.value("cache_misses_total")

    assert samples.value("predictions_total", status="cache_hit") == hits
    assert samples.value("predictions_total", status="success") == misses
    assert samples.value("predictions_total", status="error") == REFUSED
    assert hits + misses == PREDICTED


def test_the_hit_rate_is_that_of_all_caches_together(samples: Samples) -> None:
    hits, misses = samples.value("cache_hits_total"), samples.value("cache_misses_total")

    assert misses >= NEW_IMAGES
    assert samples.value("cache_hit_rate") == pytest.approx(hits / (hits + misses))


def test_the_cache_size_is_that_of_one_cache_and_its_memory_that_of_all(samples: Samples) -> None:
    assert 0 < samples.value("cache_size_current") <= NEW_IMAGES
    assert samples.value("cache_memory_bytes") > samples.value("cache_misses_total") * 8 * 64


def test_the_model_and_the_application_describe_themselves(samples: Samples) -> None:
    assert samples.value("model_state") == 1.0
    assert 0 < samples.value("model_load_duration_seconds") < 30
    assert (
        samples.value(
            "app_info", version="1.0.0", environment="test", python_version=platform.python_version()
        )
        == 1.0
    )


def test_system_and_process_are_measured(samples: Samples) -> None:
    assert 0 < samples.value("system_memory_percent") <= 100
    assert 0 <= samples.value("system_cpu_percent") <= 100
    assert samples.value("process_memory_bytes", type="rss") > 4 * 30e6
    assert samples.value("process_memory_bytes", type="vms") > samples.value(
        "process_memory_bytes", type="rss"
    )


def test_any_worker_shows_the_same_and_none_of_it_counts_the_scrapes(
    service: Service, samples: Samples
) -> None:
    by_worker = {
        service.get("/metrics").headers.get("X-Worker"): service.scrape().total("http_requests_total")
        for _ in range(40)
    }

    assert set(by_worker.values()) == {SENT}


def test_nothing_is_lost_when_a_worker_is_killed(tmp_path: Path) -> None:
    with classifier(tmp_path / "log") as service:
        workers = service.wait_for_workers(4)
        before = drive(service)
        service.kill(workers[0])
        service.wait_for_workers(4)
        drive(service)
        after = when_counted(service, 2 * SENT)

    assert after.total("http_requests_total") == 2 * SENT
    assert after.total("predictions_total") == 2 * before.total("predictions_total")
    assert after.total("inference_duration_seconds_count") == after.total("cache_misses_total")


@pytest.mark.parametrize("switch", [{"OTEL_OBS_ENABLED": "false"}, {"OTEL_SDK_DISABLED": "true"}])
def test_switched_off_it_classifies_and_has_no_metrics(tmp_path: Path, switch: dict[str, str]) -> None:
    with Service(
        tool("opentelemetry-instrument"),
        tool("gunicorn"),
        *("-w", "2", "-b", "127.0.0.1:{port}", "app:app"),
        cwd=DIRECTORY,
        env=switch,
        log_file=tmp_path / "log",
    ) as service:
        assert service.post("/predict", {"image": image(1)}).json()["cached"] is False
        assert service.get("/metrics").status == 404


def test_without_the_wrapper_it_classifies(tmp_path: Path) -> None:
    with Service(
        tool("gunicorn"),
        *("-w", "2", "-b", "127.0.0.1:{port}", "app:app"),
        cwd=DIRECTORY,
        log_file=tmp_path / "log",
    ) as service:
        assert service.post("/predict", {"image": image(1)}).status == 200
        assert service.get("/metrics").status == 404


def test_with_otel_obs_not_installed_it_classifies(tmp_path: Path) -> None:
    # None in sys.modules makes an import fail as that of a package that is not there.
    without = "import sys; sys.modules['otel_obs'] = None; from gunicorn.app.wsgiapp import run; run()"
    with Service(
        *(sys.executable, "-c", without, "-w", "2", "-b", "127.0.0.1:{port}", "app:app"),
        cwd=DIRECTORY,
        log_file=tmp_path / "log",
    ) as service:
        assert service.post("/predict", {"image": image(1)}).status == 200
        assert service.get("/metrics").status == 404


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"image": [[1]]}, "image has shape (1, 1); expected 8 rows of 8 numbers"),
        ({"image": [[17] * 8] * 8}, "image has a number outside 0 to 16; expected 0 for paper to 16 for ink"),
        ({"image": "cat"}, "image is not a grid of numbers; expected 8 rows of 8"),
        ({"image": [[1], [1, 2]]}, "image is not a grid of numbers; expected 8 rows of 8"),
        ([], "image has shape (); expected 8 rows of 8 numbers"),
    ],
)
def test_a_wrong_image_is_refused_with_a_reason(service: Service, body: object, error: str) -> None:
    answer = service.post("/predict", body)

    assert (answer.status, answer.json()) == (400, {"error": error})


@pytest.mark.timeout(400)
def test_the_demonstration_finds_every_request_again_with_a_worker_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--once", "--seconds", "4"],
        cwd=DIRECTORY,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\n  http://127\.0\.0\.1:\d+/ shows it live", done.stdout)
    assert re.search(r"worker \d+ is killed with SIGKILL; the traffic goes on", done.stdout)
    assert re.search(r"requests counted +[\d,]+   exact: none lost, none counted twice", done.stdout)
