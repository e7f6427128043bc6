from __future__ import annotations

import asyncio
import gc
import os
import platform
import sys
from collections.abc import Iterator
from time import perf_counter

import psutil
import pytest

from otel_obs import compiled
from otel_obs.catalog import runtime
from tests.catalog.conftest import Service
from tests.support.calls import python_calls
from tests.support.programs import run


@pytest.fixture
def running(service: Service) -> Iterator[Service]:
    runtime._pauses.clear()
    runtime.start()
    yield service
    runtime.stop()


def value(service: Service, sample: str) -> float:
    (line,) = [line for line in service.samples() if line.rpartition(" ")[0] == sample]
    return float(line.rpartition(" ")[2])


def test_the_machine_and_the_process_are_shown(running: Service) -> None:
    running.provider.refresh_observables()
    assert 0 < value(running, "system_memory_percent") < 100
    assert 0 <= value(running, "system_cpu_percent") <= 100
    rss = psutil.Process().memory_info().rss
    assert value(running, 'process_memory_bytes{type="rss"}') == pytest.approx(rss, rel=0.2)
    assert value(running, 'process_memory_bytes{type="vms"}') > rss
    assert value(running, "process_resident_memory_bytes") == pytest.approx(rss, rel=0.2)
    assert value(running, "process_open_fds") >= 3
    assert value(running, "process_cpu_seconds_total") > 0
    assert value(running, "process_start_time_seconds") == pytest.approx(psutil.Process().create_time())
    assert value(running, "python_threads") >= 1


def test_the_interpreter_says_what_it_is(running: Service) -> None:
    running.provider.refresh_observables()
    major, minor, patch = platform.python_version_tuple()
    labels = (
        f'implementation="{platform.python_implementation()}",major="{major}",minor="{minor}",'
        f'patchlevel="{patch}",version="{platform.python_version()}"'
    )
    assert running.samples("python_info") == [f"python_info{{{labels}}} 1.0"]


def test_pauses_for_garbage_collection_are_recorded_by_generation(running: Service) -> None:
    gc.collect(2)
    assert running.samples("python_gc_pause") == []
    runtime.python_threads.refresh()
    assert value(running, 'python_gc_pause_seconds_count{generation="2"}') >= 1


def test_what_only_pushes_does_not_become_a_worker_by_its_own_pauses() -> None:
    code = """
    import gc, json, otel_obs
    from opentelemetry.metrics import get_meter
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from otel_obs.assembly.setup import Running

    def pushed():
        gc.collect()
        [of_resource] = reader.get_metrics_data().resource_metrics
        return {metric.name for scope in of_resource.scope_metrics for metric in scope.metrics}

    reader = InMemoryMetricReader()
    otel_obs.configure(readers=[reader])
    worker = Running.pipeline.provider.worker
    print(json.dumps(sorted(pushed() & {"python_threads", "python_gc_pause"})))
    print(json.dumps(worker.opened is None))
    get_meter("shop").create_counter("orders").add(1)
    print(json.dumps("python_gc_pause" in pushed()))
    """
    assert run(code).results == [["python_threads"], True, True]


@pytest.mark.parametrize("is_compiled", [True, False])
def test_pauses_are_as_long_as_the_collections(service: Service, is_compiled: bool) -> None:
    compiled.choose(is_compiled)
    try:
        runtime.start()
        gc.disable()  # no collection but this one
        runtime._pauses.clear()
        began = perf_counter()
        gc.collect(1)
        took_s = perf_counter() - began
        [seconds] = [seconds for generation, seconds in runtime._pauses if generation == 1]
        assert 0 < seconds <= took_s
    finally:
        gc.enable()
        runtime.stop()
        compiled.choose(True)


@pytest.mark.skipif(compiled.recording is None, reason="there is no compiled module")
def test_what_a_signal_handler_raises_is_not_swallowed_by_a_garbage_collection(running: Service) -> None:
    gc.collect()
    with python_calls() as called:
        gc.collect()
    assert called == []


def test_it_can_be_stopped(service: Service) -> None:
    runtime.start()
    runtime.start()
    assert sum(each is runtime._Collections.note for each in gc.callbacks) == 1
    service.provider.refresh_observables()
    assert service.samples("python_info") != []
    runtime.stop()
    assert runtime._Collections.note not in gc.callbacks
    service.provider.refresh_observables()
    assert service.samples("python_info") == service.samples("process") == service.samples("system") == []


def test_a_child_shows_itself_and_not_its_parent(running: Service) -> None:
    gc.collect()
    running.provider.refresh_observables()
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            running.provider.refresh_observables()
            collections = value(running, 'python_gc_collections_total{generation="2"}')
            started = value(running, "process_start_time_seconds")
            cpu = value(running, "process_cpu_seconds_total")
            is_own = started == psutil.Process(os.getpid()).create_time() and collections < 3 and cpu < 2
            os.write(write_end, b"own" if is_own else f"{collections} {started} {cpu}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read_end, 100) == b"own"
    os.close(read_end)
    os.close(write_end)


def test_a_platform_without_a_call_shows_the_rest(running: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise psutil.AccessDenied

    monkeypatch.delattr(psutil.Process, "num_fds", raising=False)
    monkeypatch.delattr(psutil.Process, "rlimit", raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    running.provider.refresh_observables()
    assert running.samples("process_open_fds") == []
    assert running.samples("process_max_fds") == []
    assert running.samples("system_memory_percent") == []
    assert len(running.samples("process_memory_bytes")) == 2


def test_psutil_is_imported_when_values_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "psutil")
    runtime.start()
    runtime.stop()
    assert "psutil" not in sys.modules


def test_the_lag_of_an_event_loop_is_recorded(service: Service) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop = runtime.watch_event_loop(loop, interval_s=0.001)
        while not service.samples("event_loop_lag_seconds_count"):
            await asyncio.sleep(0.001)
        stop()

    asyncio.run(run())
    assert value(service, "event_loop_lag_seconds_count") >= 1
