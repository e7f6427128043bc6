"""What one scrape shows of each worker, and of the event loops that serve, under real servers."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from otel_obs.cells.foreign_file import SUFFIX
from tests.support.processes import Service, tool
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
WRAPPER = tool("opentelemetry-instrument")
PER_WORKER = (
    "otel_obs_worker_memory_bytes",
    "otel_obs_worker_cpu_percent",
    "otel_obs_worker_threads",
    "otel_obs_worker_open_fds",
    "otel_obs_worker_start_time_seconds",
)
FRESH_S = 5.0
GROWN_BYTES = 100_000_000


def shown_workers(service: Service, name: str) -> set[str]:
    return {labels["worker"] for labels in service.scrape().labels(name)}


def wait_for_all(service: Service, workers: list[int]) -> None:
    """Send requests until every worker has answered one, and so shows itself."""

    def all_are_shown() -> bool:
        assert service.get("/items/1").status == 200
        return shown_workers(service, PER_WORKER[0]) == {str(worker) for worker in workers}

    until(all_are_shown, f"the workers {workers} in the exposition")


def test_each_worker_is_shown_and_a_new_one_is_counted_as_started(tmp_path: Path) -> None:
    command = WRAPPER, tool("gunicorn"), "-w", "3", "-b", "127.0.0.1:{port}", "tests.apps.plain_flask:app"
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log") as service:
        first = service.wait_for_workers(3)
        wait_for_all(service, first)
        samples = service.scrape()
        for name in PER_WORKER:
            assert {labels["worker"] for labels in samples.labels(name)} == set(map(str, first)), name
        for worker in first:
            process, labels = psutil.Process(worker), {"worker": str(worker)}
            memory = samples.value("otel_obs_worker_memory_bytes", **labels)
            assert memory == pytest.approx(process.memory_info().rss, rel=0.2)
            started_s = samples.value("otel_obs_worker_start_time_seconds", **labels)
            assert started_s == pytest.approx(process.create_time(), abs=1)
            assert samples.value("otel_obs_worker_threads", **labels) >= 1
            assert samples.value("otel_obs_worker_open_fds", **labels) >= 3
        assert samples.value("otel_obs_workers") == samples.value("otel_obs_workers_started_total") == 3
        merged = samples.value("process_resident_memory_bytes")
        assert merged == pytest.approx(samples.total("otel_obs_worker_memory_bytes"), rel=0.05)

        service.kill(first[0])
        second = service.wait_for_workers(3)
        wait_for_all(service, second)
        until(lambda: service.scrape().value("otel_obs_workers_started_total") == 4, "a start more")

        assert service.scrape().value("otel_obs_workers") == 3


@pytest.mark.parametrize(
    ("before", "app"),
    [
        pytest.param((WRAPPER,), "tests.apps.plain_flask:app", id="wrapper"),
        pytest.param((), "tests.services.apps.counted_wsgi:app", id="one line"),
    ],
)
def test_a_worker_of_a_preloaded_application_joins_before_its_first_request(
    tmp_path: Path, before: tuple[str, ...], app: str
) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    command = *before, tool("gunicorn"), "--preload", "-w", "3", "-b", "127.0.0.1:{port}", app
    env = {"OTEL_OBS_RUN_DIR": str(run_dir), "MATRIX_WAY": "one line"}
    log = tmp_path / "log"
    with Service(*command, cwd=ROOT, env=env, log_file=log, ready_path=None) as service:
        until(lambda: len(list(run_dir.glob(f"**/*{SUFFIX}"))) == 3, "the files of three workers", 150)
        assert until(service.scrape, "an answer", 150).value("otel_obs_workers") == 3
        # A worker's file is there a moment before the worker counts itself in it.
        until(lambda: service.scrape().value("otel_obs_workers_started_total") == 3, "three starts")


@pytest.mark.parametrize(
    "options", [(), ("--lifespan", "off", "--loop", "uvloop")], ids=["asyncio", "uvloop"]
)
def test_an_event_loop_that_is_held_up_shows_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    app = "tests.apps.busy_fastapi:app"
    command = WRAPPER, tool("uvicorn"), "--port", "{port}", *options, app
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log", ready_path="/metrics") as service:
        until(
            lambda: (
                service.get("/block?seconds=0.8").status == 200
                and service.scrape().value("event_loop_lag_seconds_sum") > 0.2
            ),
            "the lag of the loop",
        )
        samples = service.scrape()

    assert samples.value("event_loop_lag_seconds_bucket", le="0.1") < samples.value(
        "event_loop_lag_seconds_bucket", le="1.0"
    )


def test_what_another_worker_uses_is_at_most_five_seconds_old(tmp_path: Path) -> None:
    app = "tests.apps.busy_fastapi:app"
    command = WRAPPER, tool("uvicorn"), "--workers", "2", "--port", "{port}", app
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log", ready_path="/metrics") as service:
        worker = service.get(f"/grow?size_bytes={GROWN_BYTES}").text
        until(lambda: worker in shown_workers(service, PER_WORKER[0]), "the worker")
        worker = service.get(f"/grow?size_bytes={GROWN_BYTES}").text
        began_s = time.monotonic()
        memory = psutil.Process(int(worker)).memory_info().rss

        def is_seen_by_whoever_answers() -> bool:
            shown = (service.scrape().value("otel_obs_worker_memory_bytes", worker=worker) for _ in range(20))
            return all(value > memory - GROWN_BYTES / 2 for value in shown)

        until(is_seen_by_whoever_answers, "the memory of the worker that has grown")

    assert time.monotonic() - began_s < FRESH_S + 1  # the scrapes take their time, too
