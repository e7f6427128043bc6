"""What the dead have counted stays, once, in one file."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from otel_obs.cells.attributes import canonical, encode_attributes
from otel_obs.cells.exponential import encode_cells
from otel_obs.cells.foreign_file import RETIRED
from otel_obs.cells.layout import RETIRED_WORKER, Kind, Stream
from otel_obs.cells.retire import KEEP_IDS_S, fold
from otel_obs.cells.shelf import Shelf
from otel_obs.cells.snapshot import ExponentialValue
from otel_obs.cells.source import FileSource, open_file
from otel_obs.cells.store import Store
from otel_obs.rundir.directory import lock
from tests.cells.conftest import Fleet, record

COUNTER = Stream(Kind.COUNTER, "c")
UPDOWN = Stream(Kind.UPDOWN, "u")
GAUGE = Stream(Kind.GAUGE, "g")
HISTOGRAM = Stream(Kind.HISTOGRAM, "h", bounds=(1.0,))
EXPONENTIAL = Stream(Kind.EXPONENTIAL, "e", bounds=(4.0, 20.0))
NONE: tuple[object, ...] = ()


def retired(fleet: Fleet) -> FileSource:
    source = open_file(fleet.run_dir, RETIRED)
    assert source is not None
    source.refresh()
    source.close()
    return source


def test_counters_and_histograms_stay_and_the_rest_vanishes(fleet: Fleet) -> None:
    for _ in range(3):
        store = fleet.worker()
        record(store, COUNTER, [2.0], created_s=5.0)
        record(store, UPDOWN, [4.0])
        record(store, GAUGE, [1.0, 1.0])
        record(store, HISTOGRAM, [1.0, 2.0, 3.5])
        fleet.die(store)
    for _ in range(3):
        assert fleet.values() == {"c": {NONE: 6.0}, "h": {NONE: [3.0, 6.0, 10.5]}}
    assert sorted(name for name in fleet.run_dir.names() if name != "members") == ["fold.lock", RETIRED]
    source = retired(fleet)
    assert source.worker == RETIRED_WORKER
    assert list(source.streams[COUNTER].created_s.values()) == [5.0]


def test_a_reader_that_has_read_a_workers_file_leaves_it_out_of_its_sum_when_it_was_folded(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fleet.worker()
    record(store, COUNTER, [5.0])
    fleet.die(store)
    name = f"{store.header.worker.hex()}.cells"
    read = Shelf.read_retired

    def slowly(shelf: Shelf) -> FileSource | None:
        fold(fleet.run_dir, [name])
        return read(shelf)

    monkeypatch.setattr(Shelf, "read_retired", slowly)
    assert fleet.values() == {"c": {NONE: 5.0}}


def test_ids_are_kept_longer_than_any_scrape_lasts_and_no_longer(fleet: Fleet) -> None:
    now_s = 100.0
    for at_s in (0.0, 1.0, KEEP_IDS_S - 1, KEEP_IDS_S + 0.5):
        store = fleet.worker()
        record(store, COUNTER, [1.0])
        fleet.die(store)
        fold(fleet.run_dir, [f"{store.header.worker.hex()}.cells"], lambda at_s=at_s: now_s + at_s)  # type: ignore[misc]
    assert [at_s - now_s for at_s in retired(fleet).folded.values()] == [
        1.0,
        KEEP_IDS_S - 1,
        KEEP_IDS_S + 0.5,
    ]


def test_a_file_that_was_folded_and_not_removed_is_removed_and_not_added_again(fleet: Fleet) -> None:
    store = fleet.worker()
    record(store, COUNTER, [5.0])
    fleet.die(store)
    name = f"{store.header.worker.hex()}.cells"
    os.link(name, "kept", src_dir_fd=fleet.run_dir.descriptor, dst_dir_fd=fleet.run_dir.descriptor)
    fold(fleet.run_dir, [name])
    fleet.run_dir.rename("kept", name)
    assert fleet.values() == {"c": {NONE: 5.0}}
    assert name not in fleet.run_dir.names()
    assert fleet.values() == {"c": {NONE: 5.0}}


def test_only_one_folds_at_a_time(fleet: Fleet) -> None:
    store = fleet.worker()
    record(store, COUNTER, [5.0])
    fleet.die(store)
    with fleet.run_dir.open("fold.lock", os.O_CREAT | os.O_RDWR) as descriptor:
        assert lock(descriptor, exclusive=True)
        assert fleet.values() == {"c": {NONE: 5.0}}
        assert RETIRED not in fleet.run_dir.names()
    assert fleet.values() == {"c": {NONE: 5.0}}
    assert RETIRED in fleet.run_dir.names()


@pytest.mark.parametrize("age_s", [0.0, 3600.0])
def test_what_a_worker_left_unfinished_is_removed_when_it_is_old(age_s: float, fleet: Fleet) -> None:
    with fleet.run_dir.open("dead.new", os.O_CREAT | os.O_RDWR) as descriptor:
        status = os.fstat(descriptor)
        os.utime(descriptor, (status.st_mtime - age_s, status.st_mtime - age_s))
    store = fleet.worker()
    record(store, COUNTER, [5.0])
    fleet.die(store)
    assert fleet.values() == {"c": {NONE: 5.0}}
    assert ("dead.new" in fleet.run_dir.names()) == (age_s == 0.0)


def test_an_unfinished_file_that_is_locked_has_a_maker(fleet: Fleet) -> None:
    with fleet.run_dir.open("slow.new", os.O_CREAT | os.O_RDWR) as descriptor:
        lock(descriptor, exclusive=True)
        os.utime(descriptor, (0, 0))
        store = fleet.worker()
        record(store, COUNTER, [5.0])
        fleet.die(store)
        fleet.values()
        assert "slow.new" in fleet.run_dir.names()


@pytest.mark.parametrize("stream", [COUNTER, HISTOGRAM, EXPONENTIAL], ids=lambda stream: stream.kind.name)
@pytest.mark.parametrize("is_one_by_one", [False, True])
def test_what_the_sum_of_the_dead_was_rounded_by_still_counts(
    stream: Stream, is_one_by_one: bool, fleet: Fleet
) -> None:
    # Each 1.0 by itself is less than half of the distance between two floats at 2**54.
    for value in (2.0**54, *[1.0] * 12):
        store = fleet.worker()
        cells = list(stream.initial_cells)
        cells[stream.sum_at] = value
        record(store, stream, cells)
        fleet.die(store)
        if is_one_by_one:
            fleet.snapshot()
    for _ in range(2):
        (shown,) = fleet.values()[stream.name].values()
        shown = shown.sum if isinstance(shown, ExponentialValue) else shown
        assert (shown[-1] if isinstance(shown, list) else shown) == 2.0**54 + 12.0


@pytest.mark.parametrize("limit", [2, 3, 50, 51, 52, 100, 101, 120])
def test_what_is_beyond_the_limit_is_in_the_overflow_series_and_nowhere_else(
    limit: int, fleet: Fleet
) -> None:
    for life in range(3):
        for half in range(2):
            store = fleet.worker()
            began_s = time.time()  # after what any page has shown
            for number in range(70):
                key = encode_attributes(canonical({"a": f"{life} {half} {number}"}))
                store.add_series(COUNTER, key, began_s, [1.0], limit)
                store.add_series(HISTOGRAM, key, began_s, [1.0, 0.0, 0.5], limit)
                cells = encode_cells(ExponentialValue(0, 0, 2.0, 0, [1], 0, []), 4)
                store.add_series(EXPONENTIAL, key, began_s, cells, limit)
            fleet.die(store)
        values = fleet.values()
        recorded = 140 * (life + 1)
        counters: list[Any] = list(values["c"].values())
        assert sum(counters) == recorded
        for kind in ("c", "h", "e"):
            assert len(values[kind]) == min(limit, recorded)
        histograms: list[Any] = list(values["h"].values())
        assert [sum(cells) for cells in zip(*histograms, strict=True)] == [recorded, 0, recorded / 2]
        exponential: list[Any] = list(values["e"].values())
        assert sum(sum(value.positive) for value in exponential) == recorded


def test_what_a_page_has_shown_by_itself_stays_so_beyond_the_limit_too(fleet: Fleet) -> None:
    """In the overflow series, `increase()` would count it a second time."""

    def live(life: int) -> Store:
        store = fleet.worker()
        for number in range(40):
            key = encode_attributes(canonical({"a": f"{life} {number}"}))
            store.add_series(COUNTER, key, time.time(), [1.0], 50)
        return store

    living = [live(life) for life in range(3)]
    shown = fleet.values()
    assert len(shown["c"]) == 120
    for store in living:
        fleet.die(store)
        assert fleet.values() == shown
    fleet.die(live(3))  # no page has shown it: what it has recorded is in one series, from the first on
    with_overflow = fleet.values()
    assert with_overflow["c"] == {**shown["c"], (("otel.metric.overflow", True),): 40.0}
    assert fleet.values() == with_overflow


def test_a_page_that_is_being_made_keeps_what_it_reads_from_another_process_that_folds(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fleet.worker()
    for number in range(40):
        key = encode_attributes(canonical({"a": str(number)}))
        store.add_series(COUNTER, key, time.time(), [1.0], 20)
    name = f"{store.header.worker.hex()}.cells"
    read = Shelf.read_retired

    def slowly(shelf: Shelf) -> FileSource | None:
        monkeypatch.undo()
        store.discard()
        found = read(shelf)
        fold(fleet.run_dir, [name])
        return found

    monkeypatch.setattr(Shelf, "read_retired", slowly)
    shown = fleet.values()
    assert len(shown["c"]) == 40
    assert fleet.values() == shown
