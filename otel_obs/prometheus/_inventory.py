"""All metrics of this process: their numbers, and what happens to them together."""

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


class _All:
    """Every definition of this process, by the name of its metric and that of its registry."""

    lock = RLock()
    """Whoever holds it waits for no worker's."""
    definitions: ClassVar[dict[tuple[str, str], Definition]] = {}
    dropped: ClassVar[deque[Definition]] = deque()
    """Those whose metric is gone. A finaliser may run anywhere, so it takes no lock."""
    providers: ClassVar[WeakObjects[MeterProvider]] = WeakObjects()
    listeners: ClassVar[list[Callable[[str], None]]] = []


def _every() -> list[Definition]:
    return list(_All.definitions.values())


def _place(definition: Definition) -> tuple[str, str]:
    return definition.declaration.name, definition.registry


def define(definition: Definition, owner: ClientOwner) -> None:
    """Give a metric its place in its registry, which lets no two metrics of a name in.

    Whoever has the place has left the registry since, and records for itself from now on.
    """
    sweep()
    with _All.lock:
        displaced = _All.definitions.get(_place(definition))
        _All.definitions[_place(definition)] = definition
    if displaced is not None:
        displaced.displace()
    if not definition.registry:
        for listener in list(_All.listeners):
            listener(definition.declaration.exposed_name)
    weakref.finalize(owner, _All.dropped.append, definition).atexit = False
    if definition.is_open:
        definition.make_series()


def sweep() -> None:
    """Take away the series of metrics that are gone."""
    while _All.dropped:
        forget(_All.dropped.popleft())


def forget(definition: Definition) -> None:
    """Take away a metric's series and its place."""
    if _All.definitions.get(_place(definition)) is definition:
        del _All.definitions[_place(definition)]
    definition.withdraw()


def known_streams() -> dict[Stream, Definition]:
    """The streams of this process's metrics."""
    return {stream: each for each in _every() for stream in each.streams()}


def asked() -> list[AskedGauge]:
    """Every function that gives a gauge its value."""
    return [each for definition in _every() for each in definition.asked.living()]


def ask_now(service: _service.ClientService) -> None:
    """Ask every function for a page of the client; one that hangs is not waited for long."""
    functions = asked()
    if functions:
        service.provider.refresh_beside(functions)


def _make_every_series() -> None:
    """This process has recorded something: all its metrics are there from now on, at 0."""
    for definition in _every():
        definition.make_series()


def _join(service: _service.ClientService) -> None:
    """Be asked by a provider, from its first use on."""
    provider = service.provider
    if provider in _All.providers.living():
        return
    _All.providers.add(provider)
    provider.functions.append(asked)
    provider.worker.on_open.append(_make_every_series)


def tell_names(listener: Callable[[str], None]) -> Callable[[], None]:
    """Call *listener* with the exposed name of every metric of the default registry, now and to come.

    Returns:
        Calls it no longer.
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
    """Record to *service*, which has been configured just now."""
    _service.set_current(service)
    for definition in _every():
        definition.detach()
    if service.provider.worker.opened is not None:
        for definition in _every():
            definition.make_series()


def uninstall() -> None:
    """Record to nothing any more; the next use configures anew, and starts at 0."""
    _service.set_current(None)
    for definition in _every():
        definition.withdraw()


def _after_fork_in_child() -> None:
    _All.lock = RLock()


forks.after_in_child(_after_fork_in_child)
_service.listeners.append(_join)
