"""What tells series apart, and how much of it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from otel_obs.cells.attributes import LONGEST, canonical, has_too_long
from otel_obs.sdk import MeterProvider
from otel_obs.sdk.recording import Recorder


@pytest.mark.parametrize("value", ["x" * LONGEST, b"x" * (LONGEST * 3 // 4), ("x",) * 10, 7, 1.5, None, True])
def test_what_is_not_too_long_stays(value: Any) -> None:
    assert canonical({"key": value}) == (("key", value),)
    assert not has_too_long({"key": value})


@pytest.mark.parametrize("value", ["x" * 1_000_000, b"x" * 1_000_000, ["x"] * 100_000, {"k": "x" * 5000}])
def test_of_a_long_value_the_beginning_is_kept(value: Any) -> None:
    ((_, kept),) = canonical({"key": value})
    assert isinstance(kept, (str, bytes))
    assert 1000 < len(kept) <= LONGEST
    assert has_too_long({"key": value})


def test_of_a_long_key_the_beginning_is_kept() -> None:
    assert [len(key) for key, _ in canonical({"k" * 100_000: 1})] == [LONGEST]
    assert has_too_long({"k" * 100_000: 1})


def test_a_value_of_a_megabyte_is_cut_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter = provider.get_meter("m").create_counter("uploads")
    assert isinstance(counter, Recorder)
    for _ in range(2):
        counter.add(1, {"name": "x" * 1_000_000})
        counter.add(1, {"name": "x" * 1_000_000 + "y"})
    counter.add(1, {"name": "short"})
    (aggregator,) = counter.aggregators()
    assert sorted(len(series.attributes["name"]) for series in aggregator.series.values()) == [5, LONGEST]
    assert (len(counter._offsets), counter._offsets.get(("name", "short"))) == (1, 1)
    assert caplog.messages == [
        "'uploads' got an attribute of more than 2048 characters; its beginning is kept, here and further on"
    ]
