"""The instruments of the HTTP layer, and those of one outcome with their attributes bound."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from otel_obs.http.profiles import ProfileLabels
from otel_obs.sdk.fused import RecordAmount, end_of


class Adder(Protocol):
    """A counter or updowncounter with its attributes bound."""

    def add(self, amount: float, /) -> None:
        """Add *amount*."""


class HttpRecorder(Protocol):
    """A histogram with its attributes bound."""

    def record(self, amount: float, /) -> None:
        """Record *amount*."""


class Addable(Protocol):
    """A counter or updowncounter."""

    def bind(self, attributes: ProfileLabels, /) -> Adder:
        """Resolve a series once."""


class Recordable(Protocol):
    """A histogram."""

    def bind(self, attributes: ProfileLabels, /) -> HttpRecorder:
        """Resolve a series once."""


class HttpInstruments(NamedTuple):
    """The instruments of HTTP; None is not recorded.

    Durations are in seconds, sizes in bytes.
    """

    requests: Addable | None = None
    duration: Recordable | None = None
    in_progress: Addable | None = None
    first_byte: Recordable | None = None
    request_size: Recordable | None = None
    response_size: Recordable | None = None
    errors: Addable | None = None
    websocket_open: Addable | None = None
    websocket_connections: Addable | None = None
    websocket_duration: Recordable | None = None
    websocket_messages: Addable | None = None


class OutcomeHandles:
    """The bound instruments of one outcome.

    `end` records all of a usual request in one call: one less in progress, one more request, its duration. It
    fits only a request that began with the same `active`. `pinned` keeps the route object alive whose `id`
    is part of the key in `Entry.handles`: otherwise a new object could get the same id.
    """

    __slots__ = (
        "_instruments",
        "_labels",
        "active",
        "count",
        "duration",
        "end",
        "first_byte",
        "pinned",
        "request_size",
        "response_size",
    )

    def __init__(
        self,
        instruments: HttpInstruments,
        active: RecordAmount,
        total: ProfileLabels,
        measured: ProfileLabels,
    ) -> None:
        self._instruments, self._labels = instruments, measured
        self.pinned: object = None
        self.count = bound_add(instruments.requests, total)
        self.duration = bound_record(instruments.duration, measured)
        self.active = active
        self.end = end_of(active, self.count, self.duration)
        # Bound at first use: binding creates a series, and most outcomes never record these.
        self.first_byte: RecordAmount = self._bind_first_byte
        self.request_size: RecordAmount = self._bind_request_size
        self.response_size: RecordAmount = self._bind_response_size

    def _bind_first_byte(self, value: float) -> None:
        self.first_byte = bound_record(self._instruments.first_byte, self._labels)
        self.first_byte(value)

    def _bind_request_size(self, value: float) -> None:
        self.request_size = bound_record(self._instruments.request_size, self._labels)
        self.request_size(value)

    def _bind_response_size(self, value: float) -> None:
        self.response_size = bound_record(self._instruments.response_size, self._labels)
        self.response_size(value)


def bound_add(instrument: Addable | None, labels: ProfileLabels) -> RecordAmount:
    """The bound `add` of an instrument, or a function that does nothing."""
    return nothing if instrument is None else instrument.bind(labels).add


def bound_record(instrument: Recordable | None, labels: ProfileLabels) -> RecordAmount:
    """The bound `record` of an instrument, or a function that does nothing."""
    return nothing if instrument is None else instrument.bind(labels).record


def bound_method(instrument: Addable | Recordable | None, labels: ProfileLabels) -> RecordAmount:
    """The bound `add` or `record` of an instrument, or a function that does nothing."""
    if instrument is None:
        return nothing
    handle: Any = instrument.bind(labels)
    record: RecordAmount = getattr(handle, "record", None) or handle.add
    return record


def nothing(_: float) -> None:
    """Record nothing."""
