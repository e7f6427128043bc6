"""Runs the application's callbacks so that none delays a scrape, a push or another callback for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from otel_obs.host.errands import Errand, Errands
from otel_obs.host.once import LogOnce

_once = LogOnce()

PATIENCE_S = 2.0
"""How long a scrape waits for a callback, in seconds."""
LEFT_OUT_S = 5.0
"""After so many seconds without returning, a callback's last values are withdrawn."""


class Asking(Protocol):
    """Something that runs callbacks."""

    @property
    def is_ours(self) -> bool:
        """Whether no code of the application runs, which could hang."""


class Refreshed(Asking, Protocol):
    """One callback, function or collector whose values can be brought up to date."""

    observed_s: float
    """When the last completed refresh began, on the monotonic clock."""

    def refresh(self) -> None:
        """Bring the values up to date. Never raises."""

    def leave_out(self) -> None:
        """Withdraw the values until the next refresh."""


class HangingCounter(Protocol):
    """An updowncounter of OpenTelemetry's."""

    def add(self, amount: float, attributes: Mapping[str, Any]) -> None:
        """Count."""


class Callbacks:
    """Runs callbacks separately, and none twice at the same time."""

    def __init__(self) -> None:
        self._errands = Errands(self._note_hanging, self._note_return)
        self._counter: HangingCounter | None = None

    def count_in(self, hanging: HangingCounter) -> None:
        """Count hanging callbacks in a metric, too."""
        self._counter = hanging

    def refresh(self, every: Sequence[Refreshed], older_than_s: float) -> None:
        """Refresh what is older than *older_than_s*, and wait for what another thread is refreshing.

        Within a callback this does nothing: the callback would wait for itself.
        """
        if self._errands.is_inside:
            return
        now_s = time.monotonic()
        due = [
            each
            for each in every
            if now_s - each.observed_s >= older_than_s and not self._errands.is_under_way(each)
        ]
        # The oldest first: if the time does not suffice for all, the others come first next time.
        due.sort(key=lambda each: each.observed_s)
        self._run([(each, each.refresh) for each in due], PATIENCE_S)
        # Of all: another thread may have begun one just before this thread would have.
        self._errands.wait(every, PATIENCE_S)
        for each in every:
            if self._errands.hanging_s(each) >= LEFT_OUT_S:
                each.leave_out()

    def ask(self, questions: Sequence[tuple[Asking, Callable[[], object]]], patience_s: float) -> None:
        """Run functions that call callbacks, for a reader; those of an object that hangs are skipped."""
        if not self._errands.is_inside:
            self._errands.wait([each for each, _ in questions], patience_s)
            self._run(questions, patience_s)

    def _run(self, questions: Iterable[tuple[Asking, Callable[[], object]]], patience_s: float) -> None:
        beside = []
        for each, run in questions:
            if each.is_ours:
                self._errands.run_here(Errand(each, run))
            else:
                beside.append(Errand(each, run))
        self._errands.run(beside, patience_s)

    def _note_hanging(self, each: object) -> None:
        self._count(1, each)
        _once.warning(
            repr(each),
            "a callback of %r has not returned in time; it is not asked again before it has, and its values "
            "are left out when it takes longer than %g s",
            each,
            LEFT_OUT_S,
        )

    def _note_return(self, each: object) -> None:
        self._count(-1, each)

    def _count(self, amount: float, each: object) -> None:
        if self._counter is not None:
            self._counter.add(amount, {"instrument": str(getattr(each, "name", type(each).__name__))})
