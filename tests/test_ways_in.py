"""Each way in, under a real server with several workers: any worker's /metrics speaks for all."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.processes import Service, tool
from tests.support.waiting import until

ROOT = Path(__file__).parent.parent
WRAPPER = tool("opentelemetry-instrument")
GUNICORN = (tool("gunicorn"), "-b", "127.0.0.1:{port}")
UVICORN = (tool("uvicorn"), "--port", "{port}")
HYPERCORN = (tool("hypercorn"), "-b", "127.0.0.1:{port}")
FLASK, FASTAPI = "/items/<int:number>", "/items/{number}"

WAYS = {
    "wrapped gunicorn": ((WRAPPER, *GUNICORN, "-w", "4", "tests.apps.plain_flask:app"), FLASK),
    "wrapped gunicorn, preloaded": (
        (WRAPPER, *GUNICORN, "-w", "3", "--preload", "tests.apps.plain_flask:app"),
        FLASK,
    ),
    "wrapped gunicorn with threads": (
        (WRAPPER, *GUNICORN, "-w", "2", "-k", "gthread", "--threads", "4", "tests.apps.plain_flask:app"),
        FLASK,
    ),
    "wrapped uvicorn": ((WRAPPER, *UVICORN, "--workers", "2", "tests.apps.plain_fastapi:app"), FASTAPI),
    "wrapped hypercorn": ((WRAPPER, *HYPERCORN, "-w", "2", "tests.apps.plain_fastapi:app"), FASTAPI),
    "gunicorn, in code": ((*GUNICORN, "-w", "3", "tests.apps.instrumented_flask:app"), FLASK),
    "uvicorn, in code": ((*UVICORN, "--workers", "2", "tests.apps.instrumented_fastapi:app"), FASTAPI),
}
SENT = 120


@pytest.mark.parametrize("way", WAYS)
def test_every_request_is_on_any_workers_metrics(way: str, tmp_path: Path) -> None:
    command, endpoint = WAYS[way]
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log", ready_path="/health") as service:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda number: service.get(f"/items/{number}").status, range(SENT)))
        assert answers == [200] * SENT
        for _ in range(8):  # several scrapes, which land on several workers
            samples = service.scrape()
            assert (
                samples.value("http_requests_total", endpoint=endpoint, method="GET", status_code="200")
                == SENT
            )
            assert (
                samples.value("http_request_duration_seconds_count", endpoint=endpoint, method="GET") == SENT
            )
            assert samples.total("http_requests_in_progress") == 0


@pytest.mark.parametrize("way", ["wrapped gunicorn", "gunicorn, in code"])
def test_a_killed_worker_takes_nothing_with_it(way: str, tmp_path: Path) -> None:
    command, endpoint = WAYS[way]
    labels = {"endpoint": endpoint, "method": "GET", "status_code": "200"}
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log", ready_path="/health") as service:
        for number in range(SENT):
            service.get(f"/items/{number}")
        before = len(service.workers())
        service.kill(service.workers()[0])
        assert service.scrape().value("http_requests_total", **labels) == SENT
        service.wait_for_workers(before)
        for number in range(SENT):
            service.get(f"/items/{number}")
        assert service.scrape().value("http_requests_total", **labels) == 2 * SENT


def test_a_service_that_another_one_has_started_is_none_of_it(tmp_path: Path) -> None:
    """Its workers inherit the variable in which the other one has noted its name."""
    command, endpoint = WAYS["uvicorn, in code"]
    env = {"_OTEL_OBS_RUN": f"0123456789abcdef:00000000:{os.getpid()}"}
    with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log", ready_path="/health") as service:
        for number in range(20):
            service.get(f"/items/{number}")
        samples = service.scrape()
        assert samples.value("http_requests_total", endpoint=endpoint, method="GET", status_code="200") == 20
    assert not list(Path("/dev/shm").glob("otel-obs-*/0123456789abcdef"))


def test_gauges_of_a_killed_worker_vanish(tmp_path: Path) -> None:
    command, _ = WAYS["wrapped gunicorn"]
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log", ready_path="/health") as service:

        def workers() -> float:
            service.get("/items/1")
            return service.scrape().value("otel_obs_workers")

        until(lambda: workers() == 4, "a record of each worker")
        service.kill(service.workers()[0])
        until(lambda: service.scrape().value("otel_obs_workers") <= 4, "the dead worker's leaving")
        until(lambda: workers() == 4, "a record of the new worker")


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "OTEL_OBS_CARDINALITY_LIMIT",
            "many",
            "OTEL_OBS_CARDINALITY_LIMIT='many' is not a limit; expected a whole number of series, 1 or more",
        ),
        ("OTEL_OBS_PROFILE", "new", "OTEL_OBS_PROFILE='new' is not known; expected classic or semconv"),
    ],
)
def test_a_wrong_setting_is_one_line_and_the_service_serves(
    variable: str, value: str, line: str, tmp_path: Path
) -> None:
    command, _ = WAYS["wrapped gunicorn"]
    service = Service(
        *command, cwd=ROOT, env={variable: value}, log_file=tmp_path / "log", ready_path="/health"
    )
    with service:
        assert service.get("/items/1").json() == {"number": 1}
        assert service.get("/metrics").status == 404
        said = [each for each in service.log.splitlines() if variable in each]
        assert said == [f"{line}; this process runs without metrics"]


def test_an_unwritable_run_directory_leaves_each_worker_alone(tmp_path: Path) -> None:
    command, endpoint = WAYS["gunicorn, in code"]
    missing = tmp_path / "missing"
    service = Service(
        *command,
        "-w",
        "1",
        cwd=ROOT,
        env={"OTEL_OBS_RUN_DIR": str(missing)},
        log_file=tmp_path / "log",
        ready_path="/health",
    )
    with service:
        service.get("/items/1")
        samples = service.scrape()
        assert samples.value("http_requests_total", endpoint=endpoint, method="GET", status_code="200") == 1
        said = [each for each in service.log.splitlines() if str(missing) in each]
        line = (
            f"OTEL_OBS_RUN_DIR='{missing}' is not a writable directory; create it, or unset it to let "
            "otel_obs choose one; metrics of this process are not merged with those of other workers"
        )
        assert said == [line]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    command, _ = WAYS["wrapped gunicorn"]
    env = {"OTEL_OBS_RUN_DIR": str(run_dir)}
    with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log", ready_path="/health") as service:
        service.get("/items/1")
        assert list(run_dir.iterdir())
    assert list(run_dir.iterdir()) == []
