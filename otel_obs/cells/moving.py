"""A worker's move to another store, in steps that can be taken up again where one was interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from otel_obs.cells.source import OwnSource
from otel_obs.cells.store import Store, StoreFullError
from otel_obs.host.signals import raise_interruption

_SETTLED_S = 0.02
"""How long a move waits for recording threads: four times the default switch interval of the GIL."""


class CellsHandle(Protocol):
    """What records into cells: an instrument, or an attribute set bound to one."""

    def detach(self) -> None:
        """Forget cells and offsets: they belong to a parent process, or to a series that was removed."""

    def pause(self) -> None:
        """Stop recording to known cells: the next measurement looks them up under the worker's lock."""

    def relocate(self, old: Store, store: Store, moved: Mapping[int, int]) -> None:
        """Continue the series of *old* in *store*; *moved* maps each old offset to the new one.

        May be called twice for the same stores.
        """


class Move:
    """The way of all series from some stores to a new one.

    Args:
        stores: The stores of the worker, in each of which there are series.
        handles: All that record into them.
        reopen: Opens the new store; its argument fills it before others can see it.
        settle: Called with the new store: from then on it is the worker's.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        handles: Sequence[CellsHandle],
        reopen: Callable[[Callable[[Store], None]], Store],
        settle: Callable[[Store], None],
    ) -> None:
        self._stores, self._handles = stores, handles
        self._reopen, self._settle = reopen, settle
        self._moved: dict[Store, dict[int, int]] = {}
        self._new: Store | None = None

    def complete(self) -> None:
        """Move; stay in the old stores where no new one can be had."""
        try:
            self._go()
        except BaseException:
            # A signal handler's. Half of a move would lose what is recorded next, or have it counted twice.
            self._go()
            raise

    def _go(self) -> None:
        for handle in self._handles:
            handle.pause()
        # A thread that lost the GIL while it recorded to the old cells has to finish before they are copied.
        time.sleep(_SETTLED_S)
        new = self._opened()
        if new is None:
            return  # the paused handles find their cells in the old store again
        self._settle(new)
        for handle in self._handles:
            for each in self._stores:
                handle.relocate(each, new, self._moved[each])
        # Last: readers leave the old file when they see this, and all series are in the new one by now.
        for each in self._stores:
            each.abandon()
            each.discard()

    def _opened(self) -> Store | None:
        # Whoever gives up a new store discards it; another was opened before an interruption.
        if self._new is not None and self._new.is_in_use:
            return self._new
        try:
            return self._reopen(self._fill)
        except (OSError, StoreFullError) as error:
            raise_interruption(error)
            return None

    def _fill(self, store: Store) -> None:
        for each in self._stores:
            source = OwnSource(each)
            source.refresh()
            self._moved[each] = _copy(each, source, store)
        self._new = store


def _copy(old: Store, source: OwnSource, new: Store) -> dict[int, int]:
    new.note_newest(source.ends)
    return old.copy_to(new, source.series())
