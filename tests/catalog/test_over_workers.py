"""What one scrape shows of several workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_obs.catalog import (
    api_keys,
    cache,
    pipeline,
    record_api_key,
    record_prediction,
    set_app_info,
    set_model_state,
    update_cache_metrics,
    workflow,
)
from otel_obs.catalog.kit.metric import install, uninstall
from otel_obs.catalog.kit.naming import Naming
from otel_obs.cells.membership import Service
from otel_obs.cells.view import MergedView
from otel_obs.cells.worker import Worker
from otel_obs.exposition import TEXT, render
from otel_obs.sdk import MeterProvider
from tests.support.waiting import until

Work = Callable[[], object]


class Workers:
    """Forked workers of one service, and a scrape of it."""

    def __init__(self, base: Path) -> None:
        self._service = Service([str(base)], "test")
        self._provider = MeterProvider(shutdown_on_exit=False, worker=Worker(self._service.open_store))
        self._view = MergedView(self._provider.worker, self._service.run_dir)
        self._pids: list[int] = []
        install(self._provider, Naming())

    def start(self, work: Work) -> int:
        """Fork a worker that does *work* and then waits; its number."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                work()
                os.write(write_end, b"done")
                while True:
                    signal.pause()
            finally:
                os._exit(0)
        os.close(write_end)
        assert os.read(read_end, 4) == b"done"
        os.close(read_end)
        self._pids.append(pid)
        return len(self._pids) - 1

    def kill(self, number: int) -> None:
        """Kill a worker as the kernel does when memory is out."""
        os.kill(self._pids[number], signal.SIGKILL)
        os.waitpid(self._pids[number], 0)
        self._pids[number] = 0

    def send(self, number: int, what: signal.Signals) -> None:
        """Send a worker a signal."""
        os.kill(self._pids[number], what)

    def stop(self) -> None:
        """Kill all."""
        for number, pid in enumerate(self._pids):
            if pid:
                self.kill(number)

    def samples(self, prefix: str = "") -> list[str]:
        """The lines of samples that begin with *prefix*."""
        text = b"".join(render(self._view.snapshot(), TEXT)).decode()
        return [line for line in text.splitlines() if line.startswith(prefix) and line[0] != "#"]


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    started = Workers(tmp_path)
    yield started
    started.stop()
    uninstall()


def test_one_bad_worker_of_four_is_seen(workers: Workers) -> None:
    for state in ("loaded", "loaded", "error", "loaded"):
        workers.start(lambda state=state: set_model_state(state))  # type: ignore[misc]
    assert workers.samples("model_state") == ["model_state 2.0"]
    workers.kill(2)
    assert workers.samples("model_state") == ["model_state 1.0"]


def test_a_worker_that_still_loads_is_seen(workers: Workers) -> None:
    for state in ("loaded", "not_loaded"):
        workers.start(lambda state=state: set_model_state(state, 1.5))  # type: ignore[misc]
    assert workers.samples("model_state") == ["model_state 0.0"]
    assert workers.samples("model_load") == ["model_load_duration_seconds 1.5"]


def test_caches_are_summed_averaged_and_shared(workers: Workers) -> None:
    cache._totals = cache._CacheTotals()
    workers.start(lambda: update_cache_metrics(100, 90, 10, 1000))
    workers.start(lambda: update_cache_metrics(50, 0, 100, 500))
    assert workers.samples("cache") == [
        "cache_hits_total 90.0",
        "cache_misses_total 110.0",
        "cache_size_current 75.0",
        "cache_memory_bytes 1500.0",
        "cache_hit_rate 0.45",
    ]
    workers.kill(1)
    assert sorted(workers.samples("cache")) == [
        "cache_hit_rate 0.45",
        "cache_hits_total 90.0",
        "cache_memory_bytes 1000.0",
        "cache_misses_total 110.0",
        "cache_size_current 100.0",
    ]


def test_a_key_has_one_rate_over_workers(workers: Workers) -> None:
    api_keys._counts.clear()

    def use(*outcomes: bool) -> None:
        for outcome in outcomes:
            record_api_key("1", outcome)

    workers.start(lambda: use(True, True, True))
    workers.start(lambda: use(False))
    assert workers.samples("api_key_success_rate") == ['api_key_success_rate{key_id="1"} 0.75']


def test_counts_outlive_their_worker_and_what_is_active_does_not(workers: Workers) -> None:
    def work() -> None:
        record_prediction(inference_time=0.25)
        workflow.run("research").__enter__()

    for _ in range(3):
        workers.start(work)
    assert workers.samples("workflows_active") == ["workflows_active 3.0"]
    workers.kill(0)
    assert workers.samples("workflows_active") == ["workflows_active 2.0"]
    assert workers.samples("predictions_total") == ['predictions_total{status="success"} 3.0']
    assert workers.samples("inference_duration_seconds_count") == ["inference_duration_seconds_count 3.0"]


def test_a_service_says_once_what_it_is(workers: Workers) -> None:
    for _ in range(4):
        workers.start(lambda: set_app_info("1.0", "test", "3.11"))
    assert workers.samples("app_info") == [
        'app_info{environment="test",python_version="3.11",version="1.0"} 1.0'
    ]


def test_what_a_parent_recorded_is_not_its_childrens(workers: Workers) -> None:
    cache._totals = cache._CacheTotals()
    record_prediction()
    update_cache_metrics(1, 10, 0, 100)
    workers.start(record_prediction)
    workers.start(lambda: update_cache_metrics(1, 12, 0, 100))
    assert workers.samples("predictions_total") == ['predictions_total{status="success"} 2.0']
    assert workers.samples("cache_hits_total") == ["cache_hits_total 12.0"]
    cache._totals = cache._CacheTotals()


def test_a_session_that_one_worker_ends_is_gone_in_all(workers: Workers) -> None:
    workers.start(lambda: pipeline.evidence("robot_cleaner", 3, "s1"))
    workers.start(
        lambda: (pipeline.evidence("robot_cleaner", 5, "s1"), pipeline.evidence("robot_cleaner", 1, "s2"))
    )
    assert sorted(workers.samples("active_evidence_gauge")) == [
        'active_evidence_gauge{category="robot_cleaner",session_id="s1"} 5.0',
        'active_evidence_gauge{category="robot_cleaner",session_id="s2"} 1.0',
    ]
    ender = workers.start(lambda: pipeline.end_session("s1"))
    left = ['active_evidence_gauge{category="robot_cleaner",session_id="s2"} 1.0']
    assert workers.samples("active_evidence_gauge") == left
    workers.kill(ender)
    assert workers.samples("active_evidence_gauge") == left
    assert workers.samples("active_evidence_gauge") == left
    workers.start(lambda: pipeline.evidence("robot_cleaner", 2, "s1"))
    assert sorted(workers.samples("active_evidence_gauge"))[0].endswith('session_id="s1"} 2.0')


def test_a_worker_that_forgets_an_idle_session_leaves_what_another_has_heard_since(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MAX_SESSIONS", 1)

    def begins() -> None:
        pipeline.evidence("x", 8, "s0")
        pipeline.evidence("x", 1, "s1")
        signal.signal(signal.SIGUSR1, lambda number, frame: pipeline.evidence("x", 3, "s2"))

    workers.start(lambda: pipeline.evidence("x", 7, "s0"))
    first = workers.start(begins)
    workers.start(lambda: pipeline.evidence("x", 2, "s1"))
    workers.send(first, signal.SIGUSR1)
    until(lambda: 's2"' in str(workers.samples("active_evidence_gauge")), "the second session")
    assert sorted(workers.samples("active_evidence_gauge")) == [
        'active_evidence_gauge{category="x",session_id="s1"} 2.0',
        'active_evidence_gauge{category="x",session_id="s2"} 3.0',
    ]
