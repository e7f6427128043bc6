"""A series that one worker ends is gone in all, until somebody sets it again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_obs.cells import removals
from otel_obs.cells.attributes import Attributes, canonical, encode_attributes
from otel_obs.cells.layout import Kind, Stream
from otel_obs.cells.removals import Removal, StreamEnds, newest
from otel_obs.cells.store import Store
from tests.cells.conftest import Fleet, record

GAUGE = Stream(Kind.GAUGE, "evidence")


def end(store: Store, at_s: float, stream: Stream = GAUGE, **attributes: str) -> None:
    store.note_ended(Removal(stream, encode_attributes(canonical(attributes)), at_s))


def sessions(fleet: Fleet) -> dict[str, object]:
    """The value of each session that is shown."""
    shown = fleet.values().get("evidence", {})
    return {attributes[0][1]: value for attributes, value in shown.items()}  # type: ignore[index]


def test_a_worker_that_never_had_the_series_ends_it_for_all(fleet: Fleet) -> None:
    record(fleet.worker(), GAUGE, [3.0, 10.0], session="a")
    record(fleet.worker(), GAUGE, [5.0, 20.0], session="a")
    record(fleet.worker(), GAUGE, [7.0, 20.0], session="b")
    assert sessions(fleet) == {"a": 5.0, "b": 7.0}
    end(fleet.worker(), 30.0, session="a")
    assert sessions(fleet) == {"b": 7.0}


def test_what_is_set_later_is_shown_again(fleet: Fleet) -> None:
    first, second = fleet.worker(), fleet.worker()
    offset = record(first, GAUGE, [3.0, 10.0], session="a")
    end(second, 30.0, session="a")
    assert sessions(fleet) == {}
    first.cells[offset], first.cells[offset + 1] = 4.0, 31.0
    assert sessions(fleet) == {"a": 4.0}
    end(second, 32.0, session="a")
    assert sessions(fleet) == {}


def test_only_what_was_set_by_then_ends(fleet: Fleet) -> None:
    record(fleet.worker(), GAUGE, [3.0, 10.0], created_s=5.0, session="a")
    record(fleet.worker(), GAUGE, [4.0, 40.0], created_s=35.0, session="a")
    end(fleet.worker(), 30.0, session="a")
    assert sessions(fleet) == {"a": 4.0}
    (column,) = fleet.snapshot().columns
    assert column.table.created_s == [35.0]


def test_an_end_with_some_of_the_attributes_ends_all_series_that_have_them(fleet: Fleet) -> None:
    store = fleet.worker()
    for session, category in (("a", "x"), ("a", "y"), ("b", "x")):
        record(store, GAUGE, [1.0, 10.0], session=session, category=category)
    end(fleet.worker(), 30.0, session="a")
    assert fleet.values() == {"evidence": {(("category", "x"), ("session", "b")): 1.0}}
    end(fleet.worker(), 31.0)
    assert fleet.values() == {}


def test_the_end_outlives_the_worker_that_said_it(fleet: Fleet) -> None:
    record(fleet.worker(), GAUGE, [3.0, 10.0], session="a")
    ender = fleet.worker()
    end(ender, 30.0, session="a")
    fleet.die(ender)
    assert sessions(fleet) == {}
    assert sessions(fleet) == {}, "after it was folded"
    # Who has never seen its file learns it from the retired store.
    fleet.view._reset()
    assert sessions(fleet) == {}
    further = fleet.worker()
    fleet.die(further)
    fleet.snapshot()
    fleet.view._reset()
    assert sessions(fleet) == {}, "after a second fold"


def test_a_worker_that_moves_to_a_new_store_takes_its_ends_along(fleet: Fleet) -> None:
    record(fleet.worker(), GAUGE, [3.0, 10.0], session="a")
    store = fleet.reader.store()
    end(store, 30.0, session="a")
    fleet.reader._move(store)
    assert fleet.reader.store() is not store
    fleet.view._reset()
    assert sessions(fleet) == {}


def test_the_table_stays_while_nothing_ends_or_begins(fleet: Fleet) -> None:
    record(fleet.worker(), GAUGE, [3.0, 10.0], session="a")
    record(fleet.worker(), GAUGE, [3.0, 10.0], session="b")
    end(fleet.worker(), 30.0, session="a")
    tables = [fleet.snapshot().columns[0].table for _ in range(2)]
    assert tables[0] is tables[1]


def test_an_end_of_an_unknown_stream_is_damage(fleet: Fleet) -> None:
    store = fleet.worker()
    record(store, GAUGE, [3.0, 10.0], session="a")
    store.streams[Stream(Kind.GAUGE, "never declared")] = 99
    end(store, 30.0, Stream(Kind.GAUGE, "never declared"), session="a")
    assert sessions(fleet) == {"a": 3.0}
    assert fleet.snapshot().skipped == 1


def test_the_newest_ends_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "KEPT", 3)
    every = [Removal(GAUGE, encode_attributes((("n", str(n)),)), float(n)) for n in range(10)]
    assert newest([*every, every[0]._replace(at_s=8.5)]) == [
        every[9],
        every[0]._replace(at_s=8.5),
        every[8],
    ]
    known = StreamEnds()
    for each in every:
        known.add(each)
    found = [known.of(each.attributes, (("n", str(n)),)) for n, each in enumerate(every)]
    assert found[-3:] == [7.0, 8.0, 9.0]
    assert found[:3] == [float("-inf")] * 3


values = st.sampled_from(["1", 1, 1.0, True, "x"])
attribute_sets = st.dictionaries(st.sampled_from("abc"), values, max_size=3).map(canonical)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(attribute_sets, st.integers(0, 9)), max_size=8), st.lists(attribute_sets, max_size=5)
)
def test_a_series_ended_when_the_last_end_that_speaks_of_it_was(
    ended: list[tuple[Attributes, int]], series: list[Attributes]
) -> None:
    known = StreamEnds()
    for attributes, at_s in ended:
        known.add(Removal(GAUGE, encode_attributes(attributes), float(at_s)))
        for each in series:  # what was found before must not stick
            known.of(encode_attributes(each), each)
    for each in series:
        own = {encode_attributes((pair,)) for pair in each}
        expected = [
            at_s for attributes, at_s in ended if {encode_attributes((p,)) for p in attributes} <= own
        ]
        assert known.of(encode_attributes(each), each) == max(expected, default=float("-inf"))
