"""A scrape that ends in the middle, comes within another, or finds what is no file: the next one is right."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from otel_obs.cells import exponential
from otel_obs.cells import source as source_module
from otel_obs.cells.foreign_file import RETIRED
from otel_obs.cells.index import Source
from otel_obs.cells.layout import HEADER_BYTES, Header, Kind, Stream, pack_commit, pack_header
from otel_obs.cells.merge import MergedStream
from otel_obs.cells.shelf import Shelf
from otel_obs.cells.snapshot import ExponentialValue
from otel_obs.cells.source import FileSource
from otel_obs.host.descriptors import close_lost
from tests.cells.conftest import Fleet, record

COUNTER = Stream(Kind.COUNTER, "c")
HISTOGRAM = Stream(Kind.HISTOGRAM, "h", bounds=(1.0,))
EXPONENTIAL = Stream(Kind.EXPONENTIAL, "e", bounds=(4.0, 20.0))
NONE: tuple[object, ...] = ()


class Limit(Exception):
    """A time limit, as an application's signal handler raises it."""


PLACES = [
    (Source, "_apply_one"),
    (Source, "_check"),
    (Source, "_add"),
    (FileSource, "_read_cells"),
    (MergedStream, "_update"),
    (MergedStream, "_replace_table"),
    (Shelf, "read_retired"),
    (Shelf, "fold_dead"),
]


def open_descriptors() -> int:
    gc.collect()
    close_lost()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(("owner", "name"), PLACES)
@pytest.mark.parametrize("error", [Limit, MemoryError, KeyboardInterrupt, RecursionError])
@pytest.mark.parametrize("is_after", [False, True])
def test_an_exception_in_the_middle_of_a_scrape_leaves_the_next_one_whole(
    owner: type, name: str, error: type[BaseException], is_after: bool, fleet: Fleet, monkeypatch: Any
) -> None:
    stores = [fleet.worker() for _ in range(2)]
    for store in stores:
        record(store, COUNTER, [1.0])
    fleet.die(stores.pop())
    fleet.snapshot()
    record(stores[0], COUNTER, [2.0], kind="new")
    record(stores[0], HISTOGRAM, [1.0, 2.0, 3.0])
    method: Callable[..., Any] = getattr(owner, name)
    is_over = False

    def interrupted(*arguments: Any) -> Any:
        nonlocal is_over
        if is_over:
            return method(*arguments)
        is_over = True
        if is_after:
            method(*arguments)
        raise error

    monkeypatch.setattr(owner, name, interrupted)
    fleet.view._reset()
    before = open_descriptors()
    with pytest.raises(error):
        fleet.snapshot()
    assert open_descriptors() == before
    for _ in range(2):
        assert fleet.values() == {
            "c": {NONE: 2.0, (("kind", "new"),): 2.0},
            "h": {NONE: [1.0, 2.0, 3.0]},
        }


def test_a_scrape_within_a_scrape_sees_the_same(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    record(fleet.worker(), COUNTER, [3.0])
    update = MergedStream._update
    inner: list[Any] = []

    def nested(self: MergedStream, *arguments: Any) -> None:
        if not inner:
            inner.append({})
            inner[0] = fleet.values()
        update(self, *arguments)

    monkeypatch.setattr(MergedStream, "_update", nested)
    outer = []
    thread = threading.Thread(target=lambda: outer.append(fleet.values()), daemon=True)
    thread.start()
    thread.join(20)
    assert outer == inner == [{"c": {NONE: 3.0}}]
    assert fleet.values() == {"c": {NONE: 3.0}}


@pytest.mark.parametrize("name", ["x.cells", "x.new", RETIRED, "fold.lock"])
@pytest.mark.parametrize("what", ["pipe", "socket", "directory", "link", "device"])
def test_what_is_no_file_is_not_waited_for(what: str, name: str, fleet: Fleet) -> None:
    living, dead = fleet.worker(), fleet.worker()
    record(living, COUNTER, [1.0])
    record(dead, COUNTER, [2.0])
    fleet.die(dead)
    path = os.path.join(fleet.run_dir.path, name)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            # A socket's path has little room, which the directories of a test may need.
            bound.bind(f"/proc/self/fd/{fleet.run_dir.descriptor}/{name}")
    elif what == "directory":
        os.mkdir(path)
    else:
        os.symlink("/dev/zero" if what == "device" else "/etc/passwd", path)
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.extend(fleet.values() for _ in range(3)), daemon=True)
    thread.start()
    thread.join(20)
    assert seen == [{"c": {NONE: 3.0}}] * 3
    assert fleet.snapshot().skipped == (name in ("x.cells", RETIRED))
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)


def test_a_large_file_without_content_costs_its_content(fleet: Fleet) -> None:
    record(fleet.worker(), COUNTER, [1.0])
    worker = b"x" * 16
    sizes = ((90 << 30, 8 << 30), (90 << 20, 160 << 20))
    for number, (index_bytes, cells_bytes) in enumerate(sizes):
        path = os.path.join(fleet.run_dir.path, f"{(worker[:-1] + bytes([number])).hex()}.cells")
        with open(path, "wb") as file:
            file.write(pack_header(Header(1, 1.0, worker[:-1] + bytes([number]), index_bytes, cells_bytes)))
            file.seek(256)
            file.write(pack_commit(index_bytes - 8).to_bytes(8, "little"))
            file.truncate(HEADER_BYTES + 100 << 30)
    read = 0
    pread = os.pread

    def counted(descriptor: int, length: int, at: int) -> bytes:
        nonlocal read
        data = pread(descriptor, length, at)
        read += len(data)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", counted)
        assert fleet.values() == {"c": {NONE: 1.0}}
    assert read < 2 << 20
    assert fleet.snapshot().skipped == 2


def test_a_copy_of_a_workers_file_is_not_counted(fleet: Fleet) -> None:
    store = fleet.worker()
    record(store, COUNTER, [1.0])
    name = os.path.join(fleet.run_dir.path, f"{store.header.worker.hex()}.cells")
    with open(name, "rb") as file, open(f"{name[:-6]}-copy.cells", "wb") as copy:
        copy.write(file.read())
    assert fleet.values() == {"c": {NONE: 1.0}}
    assert fleet.snapshot().skipped == 1


def test_the_descriptors_of_a_scrape_are_bounded(fleet: Fleet) -> None:
    before = open_descriptors()
    stores = [fleet.worker() for _ in range(100)]
    for store in stores:
        record(store, COUNTER, [1.0])
    own = 4 * len(stores)  # what is mapped, the map's own, the lock, and the seat among the members
    for _ in range(3):
        assert fleet.values() == {"c": {NONE: 100.0}}
        assert open_descriptors() - before - own < 70
    for store in stores:
        fleet.die(store)
    fleet.stores.clear()
    del store, stores
    for _ in range(3):
        assert fleet.values() == {"c": {NONE: 100.0}}
    assert open_descriptors() - before < 10


@pytest.mark.parametrize("read_cells", range(1, EXPONENTIAL.cells))
def test_an_exponential_histogram_that_changes_its_scale_while_it_is_copied_is_copied_again(
    read_cells: int, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fleet.worker()
    at = record(store, EXPONENTIAL, [])
    exponential.record(store.cells, at, 4, 1.0)
    read = FileSource._read_bytes
    copied = 0

    def changing(source: FileSource, start: int, cells: int) -> bytes:
        nonlocal copied
        if copied == read_cells:
            for value in (1.5, 9.0, 700.0):  # each is another change of scale, to the bank in use and back
                exponential.record(store.cells, at, 4, value)
        copied += cells
        return read(source, start, cells)

    monkeypatch.setattr(source_module, "_STEP_CELLS", 1)
    monkeypatch.setattr(FileSource, "_read_bytes", changing)
    (shown,) = fleet.values()["e"].values()
    assert copied > read_cells
    assert isinstance(shown, ExponentialValue)
    monkeypatch.undo()
    (after,) = fleet.values()["e"].values()
    one, four = shown._replace(sum=0.0), after._replace(sum=0.0)  # type: ignore[attr-defined]
    assert (sum(four.positive), sum(one.positive) in (1, 4)) == (4, True)
    assert one == four or (one.scale, one.positive) == (20, [1])
