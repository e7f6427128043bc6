"""The sockets on which the server of this process accepts requests, where it tells them."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any

from otel_obs.host.signals import raise_interruption

_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Signals that gunicorn and uvicorn handle in a method of the object that has the sockets."""


def descriptors_of_server() -> frozenset[int] | None:
    """The descriptors of its listening sockets: none while it starts; None where the server is another."""
    handlers = [getattr(signal.getsignal(number), "__self__", None) for number in _HANDLED]
    told = [sockets for each in handlers if (sockets := _sockets(each)) is not None]
    return frozenset(found for sockets in told for found in _descriptors(sockets)) if told else None


def _sockets(server: Any) -> Sequence[Any] | None:
    packages = {each.__module__.partition(".")[0] for each in type(server).__mro__}
    if "gunicorn" in packages:
        # A worker, which may be of a class of the application's own; the master.
        return [*_each(getattr(server, "sockets", None)), *_each(getattr(server, "LISTENERS", None))]
    if "uvicorn" in packages and hasattr(server, "started"):
        served = _each(getattr(server, "servers", None))
        return [socket for each in served for socket in _each(getattr(each, "sockets", None))]
    return None


def _each(some: Any) -> Sequence[Any]:
    return some if isinstance(some, list | tuple) else ()


def _descriptors(sockets: Sequence[Any]) -> Iterator[int]:
    for socket in sockets:
        try:
            descriptor = socket.fileno()
        except (AttributeError, OSError, ValueError) as error:
            raise_interruption(error)
            continue
        if isinstance(descriptor, int) and descriptor >= 0:
            yield descriptor
