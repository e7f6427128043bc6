"""What several workers hold comes out as one value, by the rule of the kind."""

from __future__ import annotations

import itertools
import random

import pytest

from otel_obs.cells.layout import Kind, Stream
from tests.cells.conftest import Fleet, record

COUNTER = Stream(Kind.COUNTER, "c")
UPDOWN = Stream(Kind.UPDOWN, "u")
HISTOGRAM = Stream(Kind.HISTOGRAM, "h", bounds=(1.0, 2.0))
NONE: tuple[object, ...] = ()


def test_counters_and_updowncounters_are_added_up(fleet: Fleet) -> None:
    for value in (1.5, 2.0, 4.0):
        store = fleet.worker()
        record(store, COUNTER, [value])
        record(store, UPDOWN, [-value])
        record(store, COUNTER, [1.0], only=str(value))
    values = fleet.values()
    assert values["u"] == {NONE: -7.5}
    assert values["c"] == {
        NONE: 7.5,
        (("only", "1.5"),): 1.0,
        (("only", "2.0"),): 1.0,
        (("only", "4.0"),): 1.0,
    }


def test_histograms_are_added_bucket_by_bucket(fleet: Fleet) -> None:
    record(fleet.worker(), HISTOGRAM, [1.0, 0.0, 2.0, 10.5])
    record(fleet.worker(), HISTOGRAM, [0.0, 3.0, 1.0, 5.25])
    record(fleet.worker(), HISTOGRAM, [1.0, 1.0, 1.0, 1.0], kind="other")
    assert fleet.values()["h"] == {
        NONE: [1.0, 3.0, 3.0, 15.75],
        (("kind", "other"),): [1.0, 1.0, 1.0, 1.0],
    }


@pytest.mark.parametrize(
    ("rule", "merged"),
    [
        ("latest", 5.0),
        ("sum", 16.0),
        ("max", 9.0),
        ("min", 2.0),
        ("mean", 16 / 3),
        ("worst:9,5,2", 9.0),
        ("worst:2,9,5", 2.0),
        ("worst:7,5", 5.0),
    ],
)
def test_gauges_follow_their_rule(rule: str, merged: float, fleet: Fleet) -> None:
    stream = Stream(Kind.GAUGE, "g", merge=rule)
    for value, set_s in ((2.0, 10.0), (5.0, 30.0), (9.0, 20.0)):
        record(fleet.worker(), stream, [value, set_s])
    assert fleet.values()["g"] == {NONE: merged}


@pytest.mark.parametrize("rule", ["latest", "sum", "max", "min", "mean", "worst:1"])
def test_one_workers_gauge_is_itself(rule: str, fleet: Fleet) -> None:
    record(fleet.worker(), Stream(Kind.GAUGE, "g", merge=rule), [7.0, 1.0])
    assert fleet.values()["g"] == {NONE: 7.0}


def test_a_series_starts_when_its_first_worker_started_it(fleet: Fleet) -> None:
    for created_s in (30.0, 10.0, 20.0):
        record(fleet.worker(), COUNTER, [1.0], created_s)
    (column,) = fleet.snapshot().columns
    assert column.table.created_s == [10.0]


def test_the_table_stays_the_same_as_long_as_no_series_comes_or_goes(fleet: Fleet) -> None:
    first, second = fleet.worker(), fleet.worker()
    record(first, COUNTER, [1.0])
    record(second, COUNTER, [1.0])
    (before,) = fleet.snapshot().columns
    first.cells[0] += 5.0
    (after,) = fleet.snapshot().columns
    assert after.table is before.table
    assert after.values == [7.0]
    fleet.die(second)
    (dead,) = fleet.snapshot().columns
    (folded,) = fleet.snapshot().columns
    assert dead.table is folded.table is before.table
    record(first, COUNTER, [1.0], kind="new")
    (more,) = fleet.snapshot().columns
    assert more.table is not before.table


def test_a_removed_series_is_gone_and_may_come_again(fleet: Fleet) -> None:
    store = fleet.worker()
    offset = record(store, COUNTER, [3.0], kind="gone")
    record(store, COUNTER, [1.0])
    fleet.snapshot()
    store.remove_series(COUNTER, offset)
    assert fleet.values()["c"] == {NONE: 1.0}
    record(store, COUNTER, [2.0], kind="gone")
    assert fleet.values()["c"] == {NONE: 1.0, (("kind", "gone"),): 2.0}


def test_a_total_is_the_same_in_whatever_order_workers_are_read_and_folded(fleet: Fleet) -> None:
    # By one bit too little, and who reads it takes it for a restart.
    chance = random.Random(2)
    stores = [fleet.worker() for _ in range(8)]
    for store in stores:
        record(store, COUNTER, [chance.random()])
        record(store, HISTOGRAM, [0.0, 0.0, 1.0, chance.random() / 3])
    seen: set[object] = set()
    for store in stores:
        for _ in range(3):
            values = fleet.values()
            seen.add((values["c"][NONE], tuple(values["h"][NONE])))  # type: ignore[arg-type]
        fleet.die(store)
    assert len(seen) == 1


def test_totals_never_fall_while_workers_add_and_die(fleet: Fleet) -> None:
    chance = random.Random(5)
    stores = [fleet.worker() for _ in range(4)]
    for store in stores:
        record(store, COUNTER, [0.0])
        record(store, HISTOGRAM, [0.0, 0.0, 0.0, 0.0])
    before = (0.0, 0.0)
    for step in itertools.count():
        store = chance.choice(stores)
        store.cells[0] += chance.random() * 10 ** chance.randrange(-6, 3)
        store.cells[1 + HISTOGRAM.sum_at] += chance.random() / 7
        if step % 7 == 0:
            fleet.die(stores.pop(0))
            stores.append(fleet.worker())
            record(stores[-1], COUNTER, [0.0])
            record(stores[-1], HISTOGRAM, [0.0, 0.0, 0.0, 0.0])
        values = fleet.values()
        now = (values["c"][NONE], values["h"][NONE][-1])  # type: ignore[index]
        assert now >= before
        assert now[0] >= before[0]  # type: ignore[operator]
        assert now[1] >= before[1]
        before = now  # type: ignore[assignment]
        if step > 300:
            return


@pytest.mark.parametrize(
    ("readings", "merged"),
    [
        ([(5.0, 7.0), (-9.0, 2.0)], 7.0),  # one was set, the other was counted up later
        ([(5.0, 7.0), (6.0, 3.0)], 3.0),
        ([(-5.0, 7.0), (-9.0, 2.0), (0.0, 0.0)], 9.0),
    ],
)
def test_a_gauge_is_what_was_set_last_or_what_was_counted(
    fleet: Fleet, readings: list[tuple[float, float]], merged: float
) -> None:
    gauge = Stream(Kind.GAUGE, "g", merge="latest_or_sum")
    for at_s, value in readings:
        store = fleet.worker()
        offset = store.add_series(gauge, b"[]", 1.0, (value, at_s))
        assert store.cells[offset] == value
    assert fleet.values()["g"] == {NONE: merged}
