"""No write into memory that is gone, nothing kept alive, nothing lost, whatever happens to cells and keys."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from otel_obs import compiled
from otel_obs.sdk import MeterProvider
from tests.support.programs import run

BOUNDS = (1.0, 2.0, 5.0)


def instruments(provider: MeterProvider) -> tuple[Any, Any, Any, Any]:
    meter: Any = provider.get_meter("m")
    bounds: dict[str, Any] = {"explicit_bucket_boundaries_advisory": BOUNDS}
    return (
        meter.create_counter("c"),
        meter.create_up_down_counter("u"),
        meter.create_gauge("g"),
        meter.create_histogram("h", **bounds),
    )


def read_only(cells: int) -> Any:
    return memoryview(bytes(8 * cells)).cast("d")


def released(cells: int) -> Any:
    view = memoryview(bytearray(8 * cells)).cast("d")
    view.release()
    return view


ODD_CELLS: list[Any] = [
    None,
    [0.0] * 64,
    read_only(64),
    released(64),
    memoryview(bytearray(64)),
    memoryview(bytearray(64)).cast("f"),
    memoryview(bytearray(64)).cast("q"),
    memoryview(bytearray(8)).cast("d"),
    memoryview(bytearray(0)).cast("d"),
    memoryview(bytearray(8 * 64)).cast("d")[::2],
    memoryview(bytearray(8 * 64)).cast("d", (8, 8)),
    memoryview(bytearray(8 * 64 + 1))[1:].cast("d"),
]


@pytest.mark.parametrize("cells", ODD_CELLS, ids=range(len(ODD_CELLS)))
def test_cells_and_offsets_that_are_none(cells: Any) -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    for offset in (-1, 0, 63, 64, 2**40, 2**80, None, "1", True):
        use_odd(provider, cells, offset)


def use_odd(provider: MeterProvider, cells: Any, offset: Any) -> None:
    counter, updown, gauge, histogram = instruments(provider)
    for number, (instrument, verb) in enumerate(
        ((counter, "add"), (updown, "add"), (gauge, "set"), (histogram, "record"))
    ):
        handle = instrument.bind({"k": "v"})
        handle._cells, handle._offset, handle._bounds = cells, offset, BOUNDS
        getattr(handle, verb)(number + 1.0)
        handle._bounds = ("no", "numbers", 1)
        getattr(handle, verb)(number + 1.0)
        for name in ("_bounds", "_has_extremes", "_offset", "_cells"):
            delattr(handle, name)
            with contextlib.suppress(AttributeError):
                getattr(handle, verb)(number + 1.0)


def test_a_map_of_memory_cannot_be_closed_while_a_handle_knows_it_and_a_released_view_is_left_alone() -> None:
    memory = mmap.mmap(-1, 4096)
    view = memoryview(memory).cast("d")
    counter, *_ = instruments(MeterProvider(shutdown_on_exit=False))
    handle = counter.bind({"k": "v"})
    handle._cells, handle._offset = view, 3
    handle.add(2)
    assert view[3] == 2.0
    with pytest.raises(BufferError):
        memory.close()
    view.release()
    memory.close()
    handle.add(2)
    handle.add(5)


def test_what_was_removed_moved_shut_down_or_discarded_is_recorded_to_no_more() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter, _, gauge, histogram = instruments(provider)
    handles = [counter.bind({"k": "v"}), histogram.bind({"k": "v"})]
    for round_ in range(4):
        counter.add(1, {"k": "v"})
        histogram.record(1, {"k": "v"})
        gauge.set(1, {"k": "v"})
        handles[0].add(1)
        handles[1].record(1)
        before = provider.worker.store()
        if round_ == 0:
            provider.worker.exclusively(lambda store=before: provider.worker._move(store))  # type: ignore[misc]
        elif round_ == 1:
            counter.remove({"k": "v"})
            histogram.remove({"k": "v"})
        elif round_ == 2:
            provider.worker.close()
        kept = before.cells[: before.used_cells].tolist()
        counter.add(1, {"k": "v"})
        handles[0].add(1)
        handles[1].record(1)
        if round_ in (0, 2):
            assert before.cells[: before.used_cells].tolist() == kept
            assert provider.worker.store() is not before


def test_a_child_writes_to_its_own_cells() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter, *_ = instruments(provider)
    bound = counter.bind({"k": "v"})
    counter.add(1, {"k": "v"})
    bound.add(1)
    if (child := os.fork()) == 0:
        counter.add(10, {"k": "v"})
        bound.add(10)
        store = provider.worker.store()
        os._exit(0 if store.cells[: store.used_cells].tolist() == [20.0] else 1)
    assert os.waitpid(child, 0)[1] == 0
    store = provider.worker.store()
    assert store.cells[: store.used_cells].tolist() == [2.0]


def test_keys_that_change_while_they_are_read() -> None:
    provider = MeterProvider(shutdown_on_exit=False, cardinality_limit=50)
    counter, *_ = instruments(provider)
    attributes: dict[Any, Any] = {"a": "x", "b": "y"}

    class Hostile(str):
        __slots__ = ()

        def __hash__(self) -> int:
            attributes.clear()
            gc.collect(0)
            return hash("a")

        def __eq__(self, other: object) -> bool:
            attributes.update({str(number): Hostile("v") for number in range(30)})
            counter.remove({"a": "x", "b": "y"})
            return True

        def __str__(self) -> str:
            counter._offsets.clear()
            return "hostile"

    for number in range(40):
        attributes.clear()
        attributes.update({"a": "x", "b": "y"})
        counter.add(1, attributes)
        attributes["b"] = Hostile("y")
        counter.add(1, attributes)
        attributes["n"] = number
        counter.bind(dict(attributes)).add(1)
    is_ended = False

    def change() -> None:
        while not is_ended:
            attributes.clear()
            attributes.update({"a": "x"})
            attributes["b"] = "z"

    thread = threading.Thread(target=change)
    thread.start()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for _ in range(1_000):
        counter.add(1, attributes)
    is_ended = True
    thread.join()
    sys.setswitchinterval(before)


def test_attributes_handles_and_instruments_are_not_kept_alive() -> None:
    class Attributes(dict[str, Any]):
        pass

    provider = MeterProvider(shutdown_on_exit=False)
    counter, updown, _, histogram = instruments(provider)
    attributes = Attributes(k="v")
    plain = {"k": "v"}
    counter.add(1, attributes)
    counter.add(1, plain)
    count = sys.getrefcount(plain)
    counter.add(1, plain)
    assert sys.getrefcount(plain) == count
    gone = weakref.ref(attributes)
    del attributes
    handles = updown.bind({}), counter.bind({}), histogram.bind({})
    end = compiled.recording.End(*handles, lambda *_: None)
    references = [weakref.ref(handle) for handle in handles]
    cycle = [end, handles]
    cycle.append(cycle)
    del end, handles, cycle
    gc.collect()
    assert gone() is None
    assert [reference() for reference in references] == [None] * 3


def test_a_million_calls_keep_no_reference() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter, updown, gauge, histogram = instruments(provider)
    from otel_obs.sdk.fused import beginning, end_of

    key, value, number = "".join(["k", "ey"]), "".join(["v", "alue"]), 1234.5
    attributes = {key: value, "n": 70000}
    bound = [
        counter.bind(attributes),
        updown.bind(attributes),
        gauge.bind(attributes),
        histogram.bind(attributes),
    ]
    begin, end = beginning(bound[1].add), end_of(bound[1].add, bound[0].add, bound[3].record)

    def calls(times: int) -> None:
        for _ in range(times):
            counter.add(number, attributes)
            updown.add(number, attributes=attributes)
            gauge.set(number, attributes)
            histogram.record(number, attributes)
            bound[0].add(number)
            bound[1].add()
            bound[2].set(number)
            bound[3].record(number)
            begin(1.0)
            end(number)
            end(number, None)
            counter.add(number, {key: value, "m": 1.5})
            counter._offsets.get((key, "n", value, 70000))

    def counts() -> list[int]:
        everything = (
            key,
            value,
            number,
            attributes,
            *bound,
            counter,
            bound[0]._cells,
            bound[3]._bounds,
            None,
        )
        return [sys.getrefcount(each) for each in everything[:-1]]

    calls(10)
    before, blocks = counts(), sys.getallocatedblocks()
    calls(1_000_000 // 13)
    assert counts() == before
    assert sys.getallocatedblocks() - blocks < 200


def test_threads_lose_nothing() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter, updown, _, histogram = instruments(provider)
    bound = counter.bind({"k": "v"})

    def record() -> None:
        for number in range(20_000):
            counter.add(1, {"k": "v"})
            bound.add(1)
            updown.add(-1, {"k": number % 3})
            histogram.record(1.5)

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (series,) = counter.aggregators()[0].series.values()
    assert series.cells[series.offset] == 320_000
    assert [each.cells[each.offset] for each in updown.aggregators()[0].series.values()] == [
        -8 * sum(number % 3 == rest for number in range(20_000)) for rest in range(3)
    ]
    (series,) = histogram.aggregators()[0].series.values()
    assert series.cells[series.offset : series.offset + 5].tolist() == [0, 160_000, 0, 0, 240_000]


STORM = """
from tests.faults.worker import *
from otel_obs import compiled
import os, random, signal, time
assert compiled.is_used
bound = counter.bind({"kind": "killed"})
took = metrics.get_meter("faults").create_histogram("took", explicit_bucket_boundaries_advisory=[1.0])
chance = random.Random(5)
told = 0
hit(1, kind="first")
for number in range(40):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        while True:
            for _ in range(100):
                counter.add(1, {"kind": "killed"})
                bound.add(1)
                took.record(2.0)
            os.write(writing, b"x")
    os.close(writing)
    time.sleep(chance.uniform(0.0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while data := os.read(reading, 65536):
        told += len(data)
    os.close(reading)
    if number % 10 == 0:
        total()
counted, observed, amount = total(kind="killed"), family("took_count"), family("took_sum")
say([
    told > 0 and 200 * told <= counted <= 200 * told + 40 * 200,
    100 * told <= observed <= 100 * told + 40 * 100,
    0 <= 2 * observed - amount <= 2 * 40,
])
"""


def test_a_storm_of_forks_that_are_killed_while_they_record(tmp_path: Path) -> None:
    done = run(STORM, env={"OTEL_OBS_RUN_DIR": str(tmp_path)}, timeout_s=100)
    assert done.results == [[True, True, True]]


def test_a_signal_handler_that_raises_comes_before_a_measurement_or_after_it() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter, _, _, histogram = instruments(provider)

    class LateError(Exception):
        pass

    def late(*_: object) -> None:
        raise LateError

    bound, seen = histogram.bind({}), 0
    bound.record(2.0)
    before = signal.signal(signal.SIGALRM, late)
    gc.disable()  # what is raised in a callback of the collector, as hypothesis has one, is swallowed
    try:
        while seen < 200:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002)
                for _ in range(20_000):  # what is raised into a finaliser never gets here
                    bound.record(2.0)
                    counter.add(1, {"k": "v"})
            except LateError:
                seen += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    (series,) = histogram.aggregators()[0].series.values()
    low, count, *_, amount = series.cells[series.offset : series.offset + 5].tolist()
    assert low == 0
    assert amount == 2.0 * count
    assert provider.dropped == {}


def test_the_variable_and_an_attribute_say_which() -> None:
    code = "import otel_obs.sdk; from otel_obs import compiled; print(compiled.is_used, compiled.reason)"
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OTEL_OBS_COMPILED": text},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for text in ("on", "off")
    ]
    assert said == ["True \n", "False OTEL_OBS_COMPILED is off\n"]
