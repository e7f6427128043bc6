"""What a subclass of an application makes of a metric's own attributes is asked as Python would ask it."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

from otel_obs import prometheus


def counter(name: str, *labels: str) -> Any:
    """One whose series lie in cells: its registry is one that a service means to show."""
    registry: Any = prometheus.CollectorRegistry()
    prometheus.share(registry)
    return prometheus.Counter(name, "A counter.", labels, registry=registry)


class Interruption(BaseException):
    """What a signal's handler raises."""


@pytest.mark.parametrize("name", ["_spellings", "_cells", "_offset"])
def test_an_exception_of_a_property_reaches_the_caller(name: str) -> None:
    metric = counter("orders", "kind")
    series = metric.labels("a")
    series.inc()
    target = metric if name == "_spellings" else series
    value = getattr(target, name)
    once = iter([Interruption()])

    def interrupted(self: Any) -> Any:
        for each in once:
            raise each
        return value

    kind = type(target)
    target.__class__ = type("Odd", (kind,), {name: property(interrupted)})
    with pytest.raises(Interruption):
        target.labels("a") if name == "_spellings" else series.inc()
    target.__class__ = kind


def test_a_look_up_within_a_look_up_has_a_key_of_its_own() -> None:
    inner, outer = counter("inner", "kind"), counter("outer", "kind")
    wanted = {each: outer.labels(each) for each in ("a", "b")}
    others = {each: inner.labels(each) for each in ("a", "b")}
    table = outer._spellings

    def looking(self: Any) -> Any:
        assert inner.labels("b") is others["b"]
        gc.collect()
        return table

    outer.__class__ = type("Looking", (type(outer),), {"_spellings": property(looking)})
    for _ in range(3):
        assert outer.labels("a") is wanted["a"]
        assert outer.labels("b") is wanted["b"]


def test_a_look_up_keeps_nothing() -> None:
    metric = counter("seen", "one", "other")
    metric.labels("anything", "x")
    metric.labels(one="anything", other="x")  # from now on both spellings are known, by these texts
    texts = ["any", "thing"]
    text = "".join(texts)
    before = sys.getrefcount(text)
    for _ in range(100):
        metric.labels(text, "x")
        metric.labels(one=text, other="x")
    assert sys.getrefcount(text) == before
