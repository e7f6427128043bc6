"""One number of a series, as tests written for `prometheus_client` look at it: `counter._value.get()`."""

from __future__ import annotations

from typing import Any, Protocol


class Located(Protocol):
    """A series that knows where its numbers are."""

    def locate(self) -> tuple[Any, int]:
        """The cells, and the first one's offset."""


class Value:
    """A number of this process; other workers have their own."""

    __slots__ = ("_at", "_series")

    def __init__(self, series: Located, at: int) -> None:
        self._series = series
        self._at = at

    def get(self) -> float:
        """What it is."""
        cells, offset = self._series.locate()
        value: float = cells[offset + self._at]
        return value

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Change it."""
        cells, offset = self._series.locate()
        cells[offset + self._at] = float(value)

    def inc(self, amount: float) -> None:
        """Add to it."""
        cells, offset = self._series.locate()
        value = float(amount)
        cells[offset + self._at] += value
