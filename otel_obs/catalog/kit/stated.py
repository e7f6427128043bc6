"""Observable gauges that are also set: the callback returns the values that were set last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import isfinite
from typing import Any

from otel_obs.catalog.kit import metric
from otel_obs.catalog.kit.handles import GaugeHandle, RecordMethod
from otel_obs.catalog.kit.kinds import LevelMetric, ObservableMetric
from otel_obs.cells.attributes import Attributes, canonical
from otel_obs.cells.layout import Kind
from otel_obs.errors import DeclarationError
from otel_obs.host import forks

_NOTHING_SAID: dict[str, Any] = {}


class StatedGauge(LevelMetric[GaugeHandle], ObservableMetric[GaugeHandle]):
    """An observable gauge whose values are set, with the methods of a gauge.

    Setting a value that it has already costs one comparison; a new value is visible to all workers at once.
    A forked child begins without values.
    """

    _kind = Kind.GAUGE
    _handle_type = GaugeHandle
    _create_name = "create_observable_gauge"

    def __init__(self, family: str, help: str, **options: Any) -> None:
        self._stated: dict[Attributes, float] = {}
        super().__init__(family, help, **options)
        self.observe(self._statements)
        forks.after_in_child(self._forget_statements)

    def set(self, amount: float, attributes: Mapping[str, Any] | None = None, context: object = None) -> None:
        """Set the value of a series. Never raises; *context* is not used, as of `Gauge.set`."""
        given = dict(attributes) if attributes else _NOTHING_SAID
        self._state(given, amount)

    def _statements(self) -> Iterable[tuple[float, dict[str, Any]]]:
        return [(value, dict(key)) for key, value in list(self._stated.items())]

    def _forget_statements(self) -> None:
        self._stated.clear()

    def _is_ours(self, observing: object) -> bool:
        """True: the callback only reads values that were set, and cannot hang."""
        return True

    def _reset(self) -> None:
        self._stated.clear()
        super()._reset()

    def _state(self, attributes: dict[str, Any], amount: float, is_change: bool = False) -> None:
        instrument = self._instrument()
        if instrument is None:
            if not metric.is_installed():
                metric.hold(partial(self._state, attributes, amount, is_change))
            return
        try:
            self.translate(attributes)
            value = float(amount)
        except (DeclarationError, TypeError, ValueError) as error:
            is_refused = isinstance(error, DeclarationError)
            reason, detail = ("attributes", str(error)) if is_refused else ("not_a_number", f"{amount!r}")
            self.drop(reason, detail if is_refused else f"{detail} is not a number")
            return
        if not isfinite(value):
            self.drop("not_finite", f"{amount!r} is not finite")
            return
        key = canonical(attributes)
        before = self._stated.get(key)
        value += before or 0.0 if is_change else 0.0
        self._stated[key] = value
        # A scrape computes a share from its counters: this series has to exist, its value is not used.
        if before is None or (value != before and not self.declaration.share):
            instrument.show(attributes, value)

    def _bound(self, attributes: dict[str, Any], verb: str = "") -> RecordMethod | None:
        if not metric.is_installed():
            return None
        return partial(self._change, attributes, verb)

    def _change(self, attributes: dict[str, Any], verb: str, amount: float = 1) -> None:
        if verb == "hide":
            if self._stated.pop(canonical(attributes), None) is not None:
                self.refresh()
            return
        self._state(attributes, amount, is_change=verb == "inc")

    def _remove(self, attributes: Mapping[str, Any], remove: Callable[[Any], None]) -> None:
        if not metric.is_installed():
            metric.hold(partial(self._remove, dict(attributes), remove))
            return
        remove(_Statements(self._stated))
        self.refresh()


class _Statements:
    """The set values behind the `remove` methods of an instrument."""

    def __init__(self, stated: dict[Attributes, float]) -> None:
        self._stated = stated

    def remove(self, attributes: Mapping[str, Any], until_s: float | None = None) -> None:
        self._stated.pop(canonical(attributes), None)

    def remove_matching(self, attributes: Mapping[str, Any]) -> None:
        wanted = set(canonical(attributes))
        for key in [key for key in self._stated if wanted <= set(key)]:
            del self._stated[key]
