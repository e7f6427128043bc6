"""Over several workers: forks of one process, each with its own values, that any of them reads together."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal

import pytest

from otel_obs import prometheus
from otel_obs.cells.membership import Service
from otel_obs.cells.snapshot import Snapshot
from otel_obs.cells.view import MergedView
from otel_obs.cells.worker import Worker
from otel_obs.exposition import Options
from otel_obs.prometheus import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
    share,
)
from otel_obs.prometheus.multiprocess import MultiProcessCollector, mark_process_dead
from otel_obs.prometheus.openmetrics import exposition
from otel_obs.sdk import MeterProvider
from tests.support.waiting import until


class Shared:
    """A service of several workers, of which this process is one."""

    options = Options(has_target_info=False)

    def __init__(self, base: Path) -> None:
        service = Service([str(base)], "0" * 16)
        self.provider = MeterProvider(worker=Worker(service.open_store), shutdown_on_exit=False)
        self._view = MergedView(self.provider.worker, service.run_dir)

    def snapshot(self) -> Snapshot:
        return self._view.snapshot()


class Fork:
    """A child that has done *work*, and lives until it is killed."""

    def __init__(self, work: Callable[[], object]) -> None:
        done, ready = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                work()
                os.write(ready, b"1")
                signal.pause()
            finally:
                os._exit(1)
        os.close(ready)
        assert os.read(done, 1) == b"1", "the child has failed"
        os.close(done)

    def __enter__(self) -> Fork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it, without a chance to do anything about it."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


@pytest.fixture(autouse=True)
def shared(service: object, tmp_path: Path) -> Shared:
    """The service of the test."""
    shared = Shared(tmp_path)
    prometheus.install(shared)
    return shared


def test_a_child_starts_at_0_and_everybody_sees_the_sum() -> None:
    counter = Counter("c", "", ["kind"])
    series = counter.labels("x")
    series.inc(5)

    def work() -> None:
        assert series._value.get() == 0
        series.inc(2)
        counter.labels("y").inc()
        assert (REGISTRY.get_sample_value("c_total", {"kind": "x"}) or 0) >= 7

    with Fork(work), Fork(work):
        assert REGISTRY.get_sample_value("c_total", {"kind": "x"}) == 9
        assert REGISTRY.get_sample_value("c_total", {"kind": "y"}) == 2
        assert series._value.get() == 5


def test_histograms_and_summaries_are_added_up_whole() -> None:
    histogram, summary = Histogram("h", "", buckets=(1, 2)), Summary("s", "")

    def work() -> None:
        histogram.observe(1.5)
        summary.observe(4)

    with Fork(work), Fork(work):
        work()
        text = generate_latest(REGISTRY.restricted_registry(["h_bucket", "h_count", "h_sum", "s_sum"]))
    lines = {line for line in text.decode().splitlines() if not line.startswith("#")}
    assert lines == {
        'h_bucket{le="1.0"} 0.0',
        'h_bucket{le="2.0"} 3.0',
        'h_bucket{le="+Inf"} 3.0',
        "h_count 3.0",
        "h_sum 4.5",
        "s_sum 12.0",
    }


MODES = {
    "min": 1.0,
    "livemin": 1.0,
    "max": 5.0,
    "livemax": 5.0,
    "sum": 9.0,
    "livesum": 9.0,
    "mostrecent": 5.0,
    "livemostrecent": 5.0,
}


@pytest.mark.parametrize("mode", MODES)
def test_gauges_follow_their_mode_over_workers(mode: str) -> None:
    gauge = Gauge("g", "", multiprocess_mode=mode)  # type: ignore[arg-type]
    with Fork(lambda: gauge.set(1)), Fork(lambda: gauge.set(3)):
        gauge.set(5)
        assert REGISTRY.get_sample_value("g") == MODES[mode]


@pytest.mark.parametrize("mode", ["all", "liveall"])
def test_gauges_of_each_worker_are_told_apart_where_there_are_several(mode: str) -> None:
    gauge = Gauge("g", "", ["kind"], multiprocess_mode=mode)  # type: ignore[arg-type]
    gauge.labels("x").set(5)
    assert REGISTRY.get_sample_value("g", {"kind": "x"}) == 5
    with Fork(lambda: gauge.labels("x").inc(2)) as fork:
        assert REGISTRY.get_sample_value("g", {"kind": "x", "pid": str(os.getpid())}) == 5
        assert REGISTRY.get_sample_value("g", {"kind": "x", "pid": str(fork.pid)}) == 2
        fork.kill()
        until(lambda: REGISTRY.get_sample_value("g", {"kind": "x"}) == 5, "the worker's leaving")


def test_a_label_of_the_name_pid_keeps_its_value() -> None:
    gauge = Gauge("g", "", ["pid"])
    gauge.labels("7").set(5)
    assert REGISTRY.get_sample_value("g", {"pid": "7"}) == 5


def test_counters_outlive_their_worker_and_gauges_do_not() -> None:
    counter, gauge = Counter("c", ""), Gauge("g", "", multiprocess_mode="sum")

    def work() -> None:
        counter.inc(3)
        gauge.set(3)

    with Fork(work) as fork:
        work()
        fork.kill()
        until(lambda: REGISTRY.get_sample_value("g") == 3, "the worker's leaving")
        assert REGISTRY.get_sample_value("c_total") == 6


def test_facts_and_states_of_all_workers_hold() -> None:
    info, state = Info("build", ""), Enum("state", "", states=["starting", "ready", "gone"])

    def work() -> None:
        info.info({"version": "2"})
        state.state("ready")
        Counter("c", "").inc()

    with Fork(work):
        info.info({"version": "1"})
        Counter("d", "").inc()
        values = [
            REGISTRY.get_sample_value("build_info", {"version": "1"}),
            REGISTRY.get_sample_value("build_info", {"version": "2"}),
            *(REGISTRY.get_sample_value("state", {"state": each}) for each in ("starting", "ready", "gone")),
        ]
    assert values == [1, 1, 1, 1, 0]


def test_functions_are_asked_in_each_worker() -> None:
    gauge = Gauge("g", "", multiprocess_mode="sum")
    gauge.set_function(os.getpid)
    with Fork(lambda: generate_latest(REGISTRY)) as fork:
        assert REGISTRY.get_sample_value("g") == os.getpid() + fork.pid


def test_exemplars_of_any_worker_are_shown() -> None:
    counter = Counter("c", "")
    with Fork(lambda: counter.inc(exemplar={"id": "7"})):
        counter.inc()
        text = exposition.generate_latest(REGISTRY).decode()  # type: ignore[no-untyped-call]
    assert 'c_total 2.0 # {id="7"} 1.0 ' in text


def test_metrics_that_only_another_worker_defines_are_of_their_type(shared: Shared) -> None:
    from otel_obs.prometheus._exposition import split_off

    def work() -> None:
        Summary("s", "", registry=REGISTRY).observe(1)
        Counter("hidden", "", registry=share(CollectorRegistry())).inc()

    with Fork(work):
        columns, families = split_off(shared.snapshot())
        assert [column.table.stream.name for column in columns.columns] == []
        assert [(family.name, family.type) for family in families] == [("s", "summary")]


def test_the_multi_process_collector_has_everything() -> None:
    registry = share(CollectorRegistry(), "own")
    collected = CollectorRegistry()
    MultiProcessCollector(collected)
    counter, own = Counter("c", ""), Counter("c", "", registry=registry)
    gauge = Gauge("g", "", registry=registry, multiprocess_mode="all")

    def work() -> None:
        counter.inc(1)
        own.inc(2)
        gauge.set(3)

    with Fork(work) as fork:
        counter.inc(4)
        mark_process_dead(fork.pid)
        assert collected.get_sample_value("c_total") == 7
        assert collected.get_sample_value("g", {"pid": str(fork.pid)}) == 3
        assert registry.get_sample_value("c_total") == 2


ENDINGS: dict[str, Callable[[Gauge], None]] = {
    "remove": lambda gauge: gauge.remove("x", "1"),
    "remove_by_labels": lambda gauge: gauge.remove_by_labels({"shop": "x"}),
    "clear": lambda gauge: gauge.clear(),
}


@pytest.mark.skipif(not hasattr(Gauge, "remove_by_labels"), reason="an old prometheus_client")
@pytest.mark.parametrize("mode", ["mostrecent", "livemostrecent"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_most_recent_series_that_only_another_worker_knows_is_removed(
    ending: str, mode: Literal["mostrecent", "livemostrecent"]
) -> None:
    gauge = Gauge("g", "", ["shop", "till"], multiprocess_mode=mode)

    def work() -> None:
        gauge.labels("x", "1").set(3)
        gauge.labels("y", "2").set(4)

    with Fork(work):
        gauge.labels("y", "2").set(5)
        assert REGISTRY.get_sample_value("g", {"shop": "x", "till": "1"}) == 3
        ENDINGS[ending](gauge)
        assert REGISTRY.get_sample_value("g", {"shop": "x", "till": "1"}) is None
        rest = REGISTRY.get_sample_value("g", {"shop": "y", "till": "2"})
        assert rest == (None if ending == "clear" else 5)
        gauge.labels("x", "1").set(6)
        assert REGISTRY.get_sample_value("g", {"shop": "x", "till": "1"}) == 6


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_a_gauge_of_another_mode_keeps_what_other_workers_have(mode: Literal["max", "sum"]) -> None:
    gauge = Gauge("g", "", ["shop"], multiprocess_mode=mode)
    with Fork(lambda: gauge.labels("x").set(3)):
        gauge.labels("x").set(5)
        gauge.clear()
        assert REGISTRY.get_sample_value("g", {"shop": "x"}) == 3
