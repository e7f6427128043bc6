"""An attribute set of an instrument, resolved once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from otel_obs.cells.store import Store
from otel_obs.host import gil

if TYPE_CHECKING:
    from otel_obs.sdk.recording import Recorder


class Bound:
    """An attribute set of an instrument, resolved once: recording is one store at a known offset."""

    __slots__ = ("__weakref__", "_bounds", "_cells", "_has_extremes", "_offset", "_recorder", "attributes")

    def __init__(self, recorder: Recorder, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self._recorder = recorder
        self._offset = -1
        self._bounds: tuple[float, ...] = ()
        self._has_extremes = False
        self._cells: Any = None
        recorder._owner.worker.attach(self)

    def detach(self) -> None:
        """Resolve again at the next use."""
        with gil.alone():
            self._cells = None

    def pause(self) -> None:
        """Resolve again at the next use."""
        self.detach()

    def relocate(self, old: Store, store: Store, moved: Mapping[int, int]) -> None:
        """Do nothing: `Worker` has called `pause` before, so the handle resolves again at the next use."""

    def offer(self, amount: float, context: Any = None) -> None:
        """Keep what was just recorded as an exemplar, if its context, or the current one, says so."""
        self._recorder._offer(self._offset, amount, self.attributes, context)

    def hide(self, amount: float = 0) -> None:
        """Remove this worker's part of the series; what is recorded afterwards starts a new one."""
        self._recorder.remove(self.attributes, until_s=-math.inf)

    def _slow(self, amount: Any) -> None:
        if self._recorder._slow(amount, self.attributes, None) and self._cells is None:
            self._recorder._teach(self)


BoundT = TypeVar("BoundT", bound=Bound)
