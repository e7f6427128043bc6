"""Records HTTP requests: the observer that the WSGI and the ASGI side share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from otel_obs.host.counted import was_counted
from otel_obs.host.signals import raise_interruption
from otel_obs.http.bound_instruments import (
    HttpInstruments,
    OutcomeHandles,
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
"""How many `OutcomeHandles` are cached until all are dropped: routes and statuses have no fixed bound."""
MOST_ROOTS = 16
"""How many root paths become labels: a client can forge the header that sets one."""
SCHEMES = frozenset({"http", "https", "ws", "wss"})
VERSIONS = frozenset({"0.9", "1.0", "1.1", "2", "2.0", "3", "3.0"})
REDIRECTION = 300
CLIENT_CLOSED_REQUEST = 499
SERVER_ERROR = 500

_logger = logging.getLogger("otel_obs")


class Entry:
    """The shared state of requests of one method, scheme and protocol version.

    `begin` is called with 1.0 when a request begins. The request keeps the `active` of that moment and calls
    it with -1.0 at its end: `active` may be bound to another series meanwhile.
    """

    __slots__ = ("active", "begin", "handles", "method", "scheme", "served", "version")

    def __init__(self, method: str, scheme: str, version: str) -> None:
        self.method, self.scheme, self.version = method, scheme, version
        self.served = False
        self.active: RecordAmount = nothing
        self.begin: RecordAmount = nothing
        self.handles: dict[tuple[Any, ...], OutcomeHandles] = {}


class Observer:
    """Records requests; one for each set of instruments.

    Args:
        instruments: The instruments to record to.
        naming: The names of the attributes: `ClassicProfile()` or `SemconvProfile()`.
        exclude: Requests that are not measured.
        extra: The application's own attributes.
        known_methods: Any other method is `_OTHER`.
        is_strict: Raise our own errors, for tests; otherwise they are logged once and swallowed.
        meets_loop: Called in each event loop that serves, at least once; it may be called again.
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
        """Whether routes are named with the root path before them."""
        self.exclude = exclude or Exclusion()
        if extra is not None:
            check_apart(extra, self.naming)
        self.extra = extra
        self.is_strict = is_strict
        self._note_instruments(instruments)
        self.names_errors = self.naming.names_errors
        """Whether the exception that ended a request is an attribute of it."""
        self.names_connection = self.naming.names_connection
        """Whether the key of `entries` has scheme and protocol version, or the method alone."""
        self.entries: dict[object, Entry] = {}
        """The entries, by method; where `names_connection`, by method, scheme and protocol."""
        self.has_wsgi = self.has_asgi = False
        """Which kinds of middleware record here: each looks for an outer one of the other kind only then."""
        self._known_methods = known_methods
        self._remembered = 0
        self._roots: dict[str, str] = {}
        self._logged: set[str] = set()

    def root(self, path: str) -> str:
        """Return a root path as a label; "" beyond `MOST_ROOTS` different ones."""
        if not path:
            return path
        if len(self._roots) < MOST_ROOTS:
            self._roots.setdefault(path, path.rstrip("/"))
        return self._roots.get(path, "")

    def entry(self, method: str, scheme: str = "http", protocol: str = "") -> Entry:
        """Return the entry of such requests; made at the first one.

        Args:
            method: As the client sent it; an unknown one is `_OTHER`.
            scheme: `http` or `https`; anything else is `http`, since a client can forge the header.
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
            # Also under the server's spelling of the protocol, so that the next request finds it directly.
            # All three values are known ones, so a client cannot add any number of keys.
            self.entries[method, scheme, protocol] = entry
        return entry

    def finish(
        self, entry: Entry, key: tuple[Any, ...], root: str, route: str | None, status: int, elapsed_s: float
    ) -> OutcomeHandles:
        """Record a request whose response was sent completely.

        Args:
            entry: The request's entry, from its begin.
            key: The key in `entry.handles`, by which the exchange finds the same outcome without its route.
            root: The root, as returned by `root`.
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
    ) -> OutcomeHandles:
        """Record a request that ended in another way, or has attributes of the application's own.

        Args:
            entry: The request's entry, from its begin.
            outcome: How the request ended.
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
        """Count an unhandled exception, unless the application has counted it."""
        if self.instruments.errors is not None and not was_counted(error):
            labels = self.naming.error(type(error).__qualname__, "http")
            self.instruments.errors.bind(labels).add(1)

    def websocket(self, name: str, connection: Connection) -> RecordAmount:
        """Bind a websocket instrument: `websocket_open`, `_connections` or `_duration`."""
        return bound_method(getattr(self.instruments, name), self.naming.connection(connection))

    def messages(self, connection: Connection, direction: str) -> RecordAmount:
        """Bind the counter of a websocket's messages."""
        return bound_method(self.instruments.websocket_messages, self.naming.message(connection, direction))

    def disown(self, family: str) -> bool:
        """Stop recording a family that the application defines.

        Requests in progress still end on the series with which they began.

        Args:
            family: Its exposed name, as in `naming.families`.

        Returns:
            Whether the family was recorded here.
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
        """Log an error once; raise it if the observer is strict, or if a signal handler has raised it."""
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
    ) -> OutcomeHandles:
        total, measured = self.naming.total(outcome), self.naming.measured(outcome)
        if self.extra is not None:
            own = dict(zip(self.extra.names, extra, strict=True))
            total, measured = own | total, own | measured
        if outcome.route is not None and not entry.served:
            # A route answers this method: from now on, requests in progress have its name, not `_OTHER`.
            entry.served = True
            self._bind_active(entry)
        if self._remembered >= REMEMBERED:
            self._forget()
        self._remembered += 1
        handles = entry.handles[key] = OutcomeHandles(self.instruments, entry.active, total, measured)
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
