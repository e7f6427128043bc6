"""Room is had before it is used, indices survive interruptions, and a worker can move to another store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel_obs.cells import mapped
from otel_obs.cells import store as store_module
from otel_obs.cells.attributes import encode_attributes
from otel_obs.cells.exemplar import pack
from otel_obs.cells.layout import Kind, SeriesRecord, Stream
from otel_obs.cells.mapped import file_store, heap_store
from otel_obs.cells.removals import Removal
from otel_obs.cells.source import FileSource, OwnSource, open_file
from otel_obs.cells.store import QUARANTINE_S, Store, StoreFullError
from otel_obs.cells.worker import Worker
from otel_obs.host.descriptors import Descriptor
from otel_obs.sdk import MeterProvider
from tests.cells.conftest import Fleet, record

COUNTER = Stream(Kind.COUNTER, "c")
OTHER = Stream(Kind.COUNTER, "other")
HISTOGRAM = Stream(Kind.HISTOGRAM, "h", bounds=(1.0,))


def read(store: Store) -> dict[tuple[str, bytes], list[float]]:
    """Every live series of a store, as a reader of its index finds it."""
    source = OwnSource(store)
    source.refresh()
    assert source.damage.reason == ""
    return {
        (stream.name, attributes): source.cells[offset : offset + stream.cells].tolist()
        for stream, attributes, offset, _ in source.series()
    }


def test_a_store_is_read_as_it_was_written() -> None:
    store = heap_store(1.0, bytes(16))
    record(store, COUNTER, [3.0])
    record(store, HISTOGRAM, [1.0, 2.0, 4.5], kind="a")
    record(store, COUNTER, [5.0], kind="b")
    assert read(store) == {
        ("c", b"[]"): [3.0],
        ("h", b'[["kind","a"]]'): [1.0, 2.0, 4.5, float("inf"), float("-inf")],
        ("c", b'[["kind","b"]]'): [5.0],
    }


def test_a_released_offset_rests_before_it_is_given_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    memory = heap_store(1.0, bytes(16))
    store = Store(memory._memory, memory.header, lambda start, length: None, clock=lambda: now_s)
    first = record(store, COUNTER, [1.0], kind="first")
    store.remove_series(COUNTER, first)
    now_s = QUARANTINE_S - 1
    assert record(store, COUNTER, [1.0], kind="second") != first
    now_s = QUARANTINE_S
    assert record(store, COUNTER, [7.0], kind="third") == first
    assert read(store) == {("c", b'[["kind","second"]]'): [1.0], ("c", b'[["kind","third"]]'): [7.0]}


def test_room_is_reserved_before_it_is_used() -> None:
    reserved: list[tuple[int, int]] = []
    memory = heap_store(1.0, bytes(16))
    store = Store(memory._memory, memory.header, lambda start, length: reserved.append((start, length)))
    at_first = len(reserved)
    for number in range(9000):
        record(store, COUNTER, [1.0], n=str(number))
        index_end = 4096 + store.index_bytes
        cells_end = store.header.cells_at + store.used_cells * 8
        assert any(start < index_end <= start + length for start, length in reserved)
        assert any(start < cells_end <= start + length for start, length in reserved)
    assert at_first == 2
    assert len(reserved) > 8


def test_no_room_is_an_error_and_leaves_the_store_as_it_was() -> None:
    is_full = False

    def reserve(start: int, length: int) -> None:
        if is_full:
            raise OSError(28, "No space left on device")

    memory = heap_store(1.0, bytes(16))
    store = Store(memory._memory, memory.header, reserve)
    record(store, COUNTER, [1.0])
    is_full = True

    def record_many() -> None:
        for number in range(100_000):
            record(store, COUNTER, [1.0], n=str(number))

    with pytest.raises(StoreFullError, match=r"\[Errno 28\] No space left on device"):
        record_many()
    kept = read(store)
    is_full = False
    record(store, OTHER, [9.0])
    assert read(store) == {**kept, ("other", b"[]"): [9.0]}


def test_an_exception_between_a_stream_and_its_number_mixes_no_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = heap_store(1.0, bytes(16))
    append = Store._append

    def interrupted(self: Store, written: object) -> None:
        append(self, written)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "_append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record(store, COUNTER, [1.0])
    monkeypatch.undo()
    record(store, OTHER, [2.0])
    record(store, COUNTER, [3.0])
    assert read(store) == {("other", b"[]"): [2.0], ("c", b"[]"): [3.0]}


def test_a_file_that_cannot_be_sized_is_an_error_and_its_descriptor_is_closed(tmp_path: Path) -> None:
    opened = Descriptor(os.open, tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="Invalid argument"):
        file_store(opened, 1.0, bytes(16))
    assert not opened.is_intact()


def test_a_series_that_lies_behind_the_end_is_damage(fleet: Fleet) -> None:
    store = fleet.worker()
    record(store, COUNTER, [1.0])
    store._append(SeriesRecord(0, 1 << 50, 1.0, b'[["kind","far"]]'))
    record(store, COUNTER, [1.0], kind="after")
    snapshot = fleet.snapshot()
    assert snapshot.skipped == 1
    (column,) = snapshot.columns
    assert column.values == [1.0, 1.0]


class Moving:
    """A provider in a fleet, to be moved."""

    def __init__(self, fleet: Fleet) -> None:
        self.worker = Worker(fleet.service.open_store, fleet.service)
        self.provider = MeterProvider(shutdown_on_exit=False, worker=self.worker)
        self.meter = self.provider.get_meter("m")


def test_a_worn_index_is_begun_anew_and_nothing_is_lost(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A gauge of each session that comes and goes would fill any index in the end.
    monkeypatch.setattr(mapped, "INDEX_BYTES", 256 << 10)
    moving = Moving(fleet)
    sessions = moving.meter.create_gauge("sessions")
    counter = moving.meter.create_counter("hits")
    active = moving.meter.create_up_down_counter("active")
    took = moving.meter.create_histogram("took", explicit_bucket_boundaries_advisory=[1.0])
    bound = counter.bind({"kind": "bound"})  # type: ignore[attr-defined]
    stores = {id(moving.worker.store())}
    keep = [moving.worker.store()]
    active.add(1)
    for number in range(6000):
        sessions.set(number, {"session": str(number)})
        counter.add(1, {"kind": "plain"})
        bound.add(1)
        took.record(0.5)
        sessions.remove({"session": str(number)})  # type: ignore[attr-defined]
        if number % 100 == 0:
            moving.worker.settle()
            if id(moving.worker.store()) not in stores:
                keep.append(moving.worker.store())
            stores.add(id(moving.worker.store()))
            assert fleet.values()["hits"][(("kind", "plain"),)] == number + 1
        if number % 3 == 0:
            sessions.remove({"session": f"another worker's {number}"})  # type: ignore[attr-defined]
    sessions.set(7, {"session": "last"})
    values = fleet.values()
    assert len(stores) > 3
    assert values["hits"] == {(("kind", "plain"),): 6000.0, (("kind", "bound"),): 6000.0}
    assert values["active"] == {(): 1.0}
    assert values["took"] == {(): [6000.0, 0.0, 3000.0]}
    assert values["sessions"] == {(("session", "last"),): 7.0}
    assert moving.worker.spare_opened is None


def test_ends_that_are_taken_over_do_not_wear_a_store_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise whoever moves to a new store, and takes the ends along, has to move again at once.
    monkeypatch.setattr(store_module, "_LONG", 0.0)
    gauge = Stream(Kind.GAUGE, "sessions")
    ends = [Removal(gauge, b'[["session","%d"]]' % number, float(number)) for number in range(50)]
    store = heap_store(1.0, bytes(16))
    store.note_newest(ends)
    assert not store.is_worn
    for end in ends:
        store.note_ended(end)
    assert store.is_worn


def test_exemplars_move_along(fleet: Fleet) -> None:
    store = fleet.worker()
    offset = store.add_series(HISTOGRAM, encode_attributes(()), 1.0)
    at = store.add_exemplars(HISTOGRAM, offset)
    store.write_exemplar(at, 1, pack(5.0, 9.0, {"trace_id": "ab"}))
    other = heap_store(1.0, bytes(16))
    source = OwnSource(store)
    source.refresh()
    store.copy_to(other, source.series())
    moved = OwnSource(other)
    moved.refresh()
    (exemplar,) = moved.exemplars(HISTOGRAM, encode_attributes(()))
    assert (exemplar.bucket, exemplar.value, exemplar.trace_id) == (1, 5.0, "ab")


def test_a_reader_that_has_the_old_file_open_follows(fleet: Fleet) -> None:
    moving = Moving(fleet)
    counter = moving.meter.create_counter("hits")
    counter.add(3)
    assert fleet.values()["hits"] == {(): 3.0}
    before = open_file(fleet.run_dir, f"{moving.worker.id.hex()}.cells")
    assert isinstance(before, FileSource)
    old = moving.worker.store()
    moving.worker.exclusively(lambda: moving.worker._move(old))
    counter.add(4)
    before.refresh()
    assert before.is_abandoned
    before.close()
    snapshot = fleet.snapshot()
    assert (snapshot.workers, snapshot.skipped) == (1, 0)
    assert fleet.values()["hits"] == {(): 7.0}
