"""Which traced requests become exemplars."""

from __future__ import annotations

import pytest
from opentelemetry.context import Context

from otel_obs.http import exemplars
from otel_obs.http.exemplars import UNTRACED, Pace

SPAN = Context({"a span": True})


class Clock:
    """A clock that is set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(exemplars, "perf_counter", clock)
    return clock


def test_one_of_an_outcome_and_magnitude_in_a_tenth_of_a_second(clock: Clock) -> None:
    pace = Pace()
    assert pace.context(SPAN, ("/", 200), 0.010) is SPAN
    assert pace.context(SPAN, ("/", 200), 0.012) is UNTRACED
    clock.now_s += 0.101
    assert pace.context(SPAN, ("/", 200), 0.012) is SPAN


def test_a_slow_one_and_a_failing_one_are_not_hidden_by_others(clock: Clock) -> None:
    pace = Pace()
    assert pace.context(SPAN, ("/", 200), 0.010) is SPAN
    assert pace.context(SPAN, ("/", 200), 1.5) is SPAN
    assert pace.context(SPAN, ("/", 500), 0.010) is SPAN
    assert pace.context(SPAN, ("/other", 200), 0.010) is SPAN


def test_what_is_not_sampled_takes_nobodys_place(clock: Clock) -> None:
    pace = Pace()
    assert pace.context(UNTRACED, ("/", 200), 0.010) is UNTRACED
    assert pace.context(SPAN, ("/", 200), 0.010) is SPAN
