"""What one HTTP request records: the one observer that WSGI and ASGI both drive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from otel_obs.host.counted import was_counted
from otel_obs.host.signals import raise_interruption
from otel_obs.http.bound_instruments import (
    Handles,
    HttpInstruments,
    bound_add,
    bound_method,
    nothing,
)
from otel_obs.http.exclusion import Carrier, Exclusion
from otel_obs.http.extra import ExtraLabels, check_apart
from otel_obs.http.profiles import KNOWN_METHODS, OTHER, ClassicProfile, Connection, Outcome, Profile
from otel_obs.sdk.fused import RecordAmount, beginning

__all__ = ["Entry", "ExtraLabels", "HttpInstruments", "Observer", "type_name"]

REMEMBERED = 10_000
MOST_ROOTS = 16
SCHEMES = frozenset({"http", "https", "ws", "wss"})
VERSIONS = frozenset({"0.9", "1.0", "1.1", "2", "2.0", "3", "3.0"})
REDIRECTION = 300
CLIENT_CLOSED_REQUEST = 499
SERVER_ERROR = 500

_logger = logging.getLogger("otel_obs")


class Entry:
    """What requests of one method, scheme and protocol version have in common.

    `begin` is called with 1.0 when a request begins; `active`, as it is then, with -1.0 when it ends.
    """

    __slots__ = ("active", "begin", "handles", "method", "scheme", "served", "version")

    def __init__(self, method: str, scheme: str, version: str) -> None:
        self.method, self.scheme, self.version = method, scheme, version
        self.served = False
        self.active: RecordAmount = nothing
        self.begin: RecordAmount = nothing
        self.handles: dict[tuple[Any, ...], Handles] = {}


class Observer:
    """Records requests; one for each set of instruments.

    Args:
        instruments: What to record into.
        naming: The names of the attributes: `Classic()` or `Semconv()`.
        exclude: Requests that are not measured.
        extra: Attributes of a team's own.
        known_methods: Any other method is `_OTHER`.
        is_strict: Errors of ours are raised, for tests; otherwise they are logged once and swallowed.
        meets_loop: Is called in event loops that serve; in each of them at least once, seldom often.
    """

    def __init__(
        self,
        instruments: HttpInstruments,
        naming: Profile | None = None,
        *,
        exclude: Exclusion | None = None,
        extra: ExtraLabels | None = None,
        known_methods: frozenset[str] = KNOWN_METHODS,
        is_strict: bool = False,
        meets_loop: Callable[[], None] = lambda: None,
    ) -> None:
        self.meets_loop = meets_loop
        self.naming: Profile = naming or ClassicProfile()
        self.has_root = self.naming.has_root
        """Whether `root` is wanted."""
        self.exclude = exclude or Exclusion()
        if extra is not None:
            check_apart(extra, self.naming)
        self.extra = extra
        self.is_strict = is_strict
        self._note_instruments(instruments)
        self.names_errors = self.naming.names_errors
        """Whether the exception that ended a request is an attribute of it."""
        self.names_connection = self.naming.names_connection
        """Whether scheme and protocol version tell requests apart, or the method alone."""
        self.entries: dict[object, Entry] = {}
        """What `entry` gave, by the method, or where `names_connection` by method, scheme and protocol."""
        self.has_wsgi = self.has_asgi = False
        """Which kinds of layers record here: one looks for the other only where there is one."""
        self._known_methods = known_methods
        self._remembered = 0
        self._roots: dict[str, str] = {}
        self._logged: set[str] = set()

    def root(self, path: str) -> str:
        """An application's root as a label: a forwarded header may have set it, so only a few are known."""
        if not path:
            return path
        if len(self._roots) < MOST_ROOTS:
            self._roots.setdefault(path, path.rstrip("/"))
        return self._roots.get(path, "")

    def entry(self, method: str, scheme: str = "http", protocol: str = "") -> Entry:
        """The entry of requests like this one, made where `entries` has none.

        Args:
            method: As the client sent it; an unknown one is `_OTHER`.
            scheme: `http` or `https`; anything else is `http`, since a forwarded header can say anything.
            protocol: `HTTP/1.1` or `1.1`; an unknown version is left out.
        """
        upper = method.upper()
        known = (
            upper if upper in self._known_methods else OTHER,
            scheme if scheme in SCHEMES else "http",
            version if (version := protocol.removeprefix("HTTP/")) in VERSIONS else "",
        )
        key = known if self.names_connection else known[0]
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries.setdefault(key, Entry(*known))
            self._bind_active(entry)
            self.meets_loop()
        if self.names_connection and (method, scheme, version) == known:
            # The key as the server spells it: the next request finds it at once, and there are few of them.
            self.entries[method, scheme, protocol] = entry
        return entry

    def finish(
        self, entry: Entry, key: tuple[Any, ...], root: str, route: str | None, status: int, elapsed_s: float
    ) -> Handles:
        """Record a request whose response was sent whole.

        Args:
            entry: What `entry` gave when the request began.
            key: What a transport finds the same outcome by in `entry.handles`, without asking for the route.
            root: What `root` gave.
            route: The template that matched.
            status: The status that was sent.
            elapsed_s: Seconds from its begin to its end.
        """
        handles = entry.handles.get(key)
        if handles is None:
            outcome = Outcome(entry.method, entry.scheme, entry.version, root, route, status, status)
            handles = self._handles(entry, outcome, key)
        handles.count(1.0)
        handles.duration(elapsed_s)
        return handles

    def finish_as(
        self, entry: Entry, outcome: Outcome, elapsed_s: float, extra: tuple[str, ...] = ()
    ) -> Handles:
        """Record a request that ended in some other way, or with attributes of a team's own.

        Args:
            entry: What `entry` gave when the request began.
            outcome: What became of it.
            elapsed_s: Seconds from its begin to its end.
            extra: The values of the declared extra attributes, in their order.
        """
        key = (*outcome, *extra)
        handles = entry.handles.get(key) or self._handles(entry, outcome, key, extra)
        handles.count(1.0)
        handles.duration(elapsed_s)
        return handles

    def extra_values(
        self, carrier: Carrier, status: int, headers: Iterable[tuple[Any, Any]]
    ) -> tuple[str, ...]:
        """The values of the extra attributes of one response, in the order of their names."""
        if self.extra is None:
            return ()
        try:
            given = self.extra.of(carrier, status, headers)
            unknown = given.keys() - set(self.extra.names)
            if unknown:
                self._log_once(
                    f"request attributes {sorted(unknown)} are dropped; declared are {list(self.extra.names)}"
                )
            return tuple(str(given.get(name, "")) for name in self.extra.names)
        except Exception as error:
            self.failed("extra attributes", error)
            return ("",) * len(self.extra.names)

    def count_error(self, error: BaseException) -> None:
        """Count an exception that nobody handled, unless the application has counted it."""
        if self.instruments.errors is not None and not was_counted(error):
            labels = self.naming.error(type(error).__qualname__, "http")
            self.instruments.errors.bind(labels).add(1)

    def websocket(self, name: str, connection: Connection) -> RecordAmount:
        """A bound websocket instrument: `websocket_open`, `_connections` or `_duration`."""
        return bound_method(getattr(self.instruments, name), self.naming.connection(connection))

    def messages(self, connection: Connection, direction: str) -> RecordAmount:
        """The bound counter of a websocket's messages."""
        return bound_method(self.instruments.websocket_messages, self.naming.message(connection, direction))

    def disown(self, family: str) -> bool:
        """Stop recording a family that somebody else defines.

        Args:
            family: Its exposed name, as in `naming.families`.

        Returns:
            Whether it was ours and recorded.
        """
        names = [name for name, ours in self.naming.families.items() if ours == family]
        recorded = [name for name in names if getattr(self.instruments, name) is not None]
        if recorded:
            self._note_instruments(self.instruments._replace(**dict.fromkeys(recorded)))
            for entry in list(self.entries.values()):
                entry.handles.clear()
                self._bind_active(entry)
        return bool(recorded)

    def failed(self, where: str, error: Exception) -> None:
        """Log an error once, or raise it where it is not ours or the observer is strict."""
        raise_interruption(error)
        if self.is_strict:
            raise error
        self._log_once(f"{where} of a request could not be recorded; the request was served", error)

    def _note_instruments(self, instruments: HttpInstruments) -> None:
        self.instruments = instruments
        self.has_sizes = instruments.request_size is not None or instruments.response_size is not None
        self.is_plain = not self.has_sizes and self.extra is None

    def _handles(
        self, entry: Entry, outcome: Outcome, key: tuple[Any, ...], extra: tuple[str, ...] = ()
    ) -> Handles:
        total, measured = self.naming.total(outcome), self.naming.measured(outcome)
        if self.extra is not None:
            own = dict(zip(self.extra.names, extra, strict=True))
            total, measured = own | total, own | measured
        if outcome.route is not None and not entry.served:
            entry.served = True
            self._bind_active(entry)
        if self._remembered >= REMEMBERED:
            self._forget()
        self._remembered += 1
        handles = entry.handles[key] = Handles(self.instruments, entry.active, total, measured)
        return handles

    def _forget(self) -> None:
        self._remembered = 0
        for entry in list(self.entries.values()):
            entry.handles.clear()

    def _bind_active(self, entry: Entry) -> None:
        labels = self.naming.active(entry.method, entry.scheme, entry.served)
        entry.active = bound_add(self.instruments.in_progress, labels)
        entry.begin = beginning(entry.active)

    def _log_once(self, message: str, error: Exception | None = None) -> None:
        key = f"{message} {type(error).__name__}"
        if key not in self._logged and len(self._logged) < 100:
            self._logged.add(key)
            _logger.warning(message, exc_info=error)


def type_name(error: BaseException) -> str:
    """The name of an exception's class, with its module unless that is `builtins`."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
