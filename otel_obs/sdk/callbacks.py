"""The application's callbacks: none holds up a scrape, a push or another callback for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from otel_obs.host.errands import Errand, Errands
from otel_obs.host.once import LogOnce

_once = LogOnce()

PATIENCE_S = 2.0
"""So long a scrape waits for a callback."""
LEFT_OUT_S = 5.0
"""A callback that has not returned for so long has its last values left out."""


class Asking(Protocol):
    """Something that asks callbacks."""

    @property
    def is_ours(self) -> bool:
        """Whether none of them is the application's: those could hang."""


class Refreshed(Asking, Protocol):
    """One callback, function or collector, with values of its own to bring up to date."""

    observed_s: float
    """When the last refresh that has ended began, on the monotonic clock."""

    def refresh(self) -> None:
        """Do it. Never raises."""

    def leave_out(self) -> None:
        """Show no values until the next refresh."""


class HangingCounter(Protocol):
    """An updowncounter of OpenTelemetry's."""

    def add(self, amount: float, attributes: Mapping[str, Any]) -> None:
        """Count."""


class Callbacks:
    """Runs callbacks, each by itself, and none twice at once."""

    def __init__(self) -> None:
        self._errands = Errands(self._note_hanging, self._note_return)
        self._counter: HangingCounter | None = None

    def count_in(self, hanging: HangingCounter) -> None:
        """Count those that hang in a metric, too."""
        self._counter = hanging

    def refresh(self, every: Sequence[Refreshed], older_than_s: float) -> None:
        """Refresh what is older than that, and wait for what another thread refreshes just now.

        From within a callback nothing is run: it may be the one that would be waited for.
        """
        if self._errands.is_inside:
            return
        now_s = time.monotonic()
        under_way = [each for each in every if self._errands.is_under_way(each)]
        due = [
            each
            for each in every
            if now_s - each.observed_s >= older_than_s and not self._errands.is_under_way(each)
        ]
        # Where there is not the time for all, those have it that had none before.
        due.sort(key=lambda each: each.observed_s)
        self._run([(each, each.refresh) for each in due], PATIENCE_S)
        self._errands.wait(under_way, PATIENCE_S)
        for each in under_way:
            if self._errands.hanging_s(each) >= LEFT_OUT_S:
                each.leave_out()

    def ask(self, questions: Sequence[tuple[Asking, Callable[[], object]]], patience_s: float) -> None:
        """Run what asks the callbacks of objects, for a reader; what hangs is not asked."""
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
