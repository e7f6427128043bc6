"""The definitions of all metrics of this process, and what is done to all of them at once."""

from __future__ import annotations

import weakref
from _thread import RLock
from collections import deque
from collections.abc import Callable
from typing import ClassVar

from otel_obs.cells.layout import Stream
from otel_obs.host import forks
from otel_obs.host.weak import WeakObjects
from otel_obs.prometheus import _service
from otel_obs.prometheus._asked_gauge import AskedGauge
from otel_obs.prometheus._binding import ClientOwner, Definition
from otel_obs.sdk import MeterProvider


class _MetricReference(weakref.ref[ClientOwner]):
    """A reference to a metric that knows its definition."""

    __slots__ = ("definition",)
    definition: Definition


class _All:
    """Every definition of this process, by the names of its metric and of its registry."""

    lock = RLock()
    """Guards the replacement of a definition. No other lock is taken while it is held."""
    definitions: ClassVar[dict[tuple[str, str], Definition]] = {}
    watched: ClassVar[dict[int, _MetricReference]] = {}
    """Weak references to the living metrics, by the references' ids: held, so that they call back."""
    dropped: ClassVar[deque[_MetricReference]] = deque()
    """References to metrics that were garbage-collected, until `remove_collected`.

    A metric may be collected at any point of any thread, also where a lock is held. So its callback only
    appends here, in one atomic step, by no Python code: the interpreter swallows what is raised there, a
    signal handler's exception too.
    """
    providers: ClassVar[WeakObjects[MeterProvider]] = WeakObjects()
    listeners: ClassVar[list[Callable[[str], None]]] = []


def _every() -> list[Definition]:
    return list(_All.definitions.values())


def _place(definition: Definition) -> tuple[str, str]:
    return definition.declaration.name, definition.registry


def define(definition: Definition, owner: ClientOwner) -> None:
    """Enter a metric under its name and its registry's.

    A registry holds no two metrics of one name, so a metric that is entered there already has left the
    registry; it is displaced, and records to its own cells from now on.
    """
    remove_collected()
    with _All.lock:
        before = _All.definitions.get(_place(definition))
        if before is not definition:
            # First: an exception may interrupt this, and all is done again.
            definition.takes_place_of = before
        _All.definitions[_place(definition)] = definition
    # Outside the lock: this takes the worker's lock, and listeners are foreign code.
    if definition.takes_place_of is not None:
        definition.takes_place_of.displace()
        definition.takes_place_of = None
    if not definition.registry:
        for listener in list(_All.listeners):
            listener(definition.declaration.exposed_name)
    watched = _MetricReference(owner, _All.dropped.append)
    watched.definition = definition
    _All.watched[id(watched)] = watched
    if definition.is_open:
        definition.make_series()


def remove_collected() -> None:
    """Remove the series of metrics that were garbage-collected."""
    while _All.dropped:
        try:
            dead = _All.dropped.popleft()
        except IndexError:  # another thread was first
            return
        del _All.watched[id(dead)]
        forget(dead.definition)


def forget(definition: Definition) -> None:
    """Remove a metric's series and its entry, unless another metric has taken that."""
    if _All.definitions.get(_place(definition)) is definition:
        del _All.definitions[_place(definition)]
    definition.withdraw()


def known_streams() -> dict[Stream, Definition]:
    """The definitions of this process's metrics, by each stream that they export."""
    return {stream: each for each in _every() for stream in each.streams()}


def asked_gauges() -> list[AskedGauge]:
    """Every function that `set_function` was called with."""
    return [each for definition in _every() for each in definition.asked.living()]


def ask_now(service: _service.ClientService) -> None:
    """Call every function before a reading by the client; one that hangs is waited for briefly."""
    functions = asked_gauges()
    if functions:
        service.provider.refresh_beside(functions)


def _make_every_series() -> None:
    """Make the series of all metrics, at 0: this process has recorded for the first time."""
    for definition in _every():
        definition.make_series()


def _join(service: _service.ClientService) -> None:
    """Add the functions and the metrics of this process to a provider, before its first use."""
    provider = service.provider
    if provider in _All.providers.living():
        return
    _All.providers.add(provider)
    provider.functions.append(asked_gauges)
    provider.worker.on_open.append(_make_every_series)


def tell_names(listener: Callable[[str], None]) -> Callable[[], None]:
    """Call *listener* with the exposed name of every present and future metric of the default registry.

    Returns:
        A function that removes the listener.
    """
    _All.listeners.append(listener)
    for definition in _every():
        if not definition.registry:
            listener(definition.declaration.exposed_name)

    def stop() -> None:
        if listener in _All.listeners:
            _All.listeners.remove(listener)

    return stop


def install(service: _service.ClientService) -> None:
    """Record to *service*, which was just configured."""
    _service.set_current(service)
    for definition in _every():
        definition.detach()
    if service.provider.worker.opened is not None:  # `on_open` has run already, without these metrics
        for definition in _every():
            definition.make_series()


def uninstall() -> None:
    """Record to no service any more; the next use configures one, and counts from 0."""
    _service.set_current(None)
    for definition in _every():
        definition.withdraw()


def _after_fork_in_child() -> None:
    _All.lock = RLock()


forks.after_in_child(_after_fork_in_child)
_service.listeners.append(_join)
