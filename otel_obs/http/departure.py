"""Tell an exception that means "the client has gone" from one that means "the application is wrong"."""

from __future__ import annotations

_DEPARTURES = frozenset(
    {
        "CancelledError",  # asyncio
        "Cancelled",  # trio
        "GeneratorExit",
        "GreenletExit",  # gevent
        "ClientDisconnect",  # starlette
        "ClientDisconnected",  # uvicorn, werkzeug
        "WebSocketDisconnect",  # starlette
        "RequestAborted",  # django
    }
)


def is_departure(error: BaseException) -> bool:
    """Whether *error*, or all of a group of exceptions, comes of a client that left or of a cancellation.

    Classes are known by their names, since none of the libraries that define them need be installed.
    """
    inside: tuple[BaseException, ...] | None = getattr(error, "exceptions", None)
    if isinstance(inside, tuple) and inside:
        return all(is_departure(each) for each in inside)
    return any(kind.__name__ in _DEPARTURES for kind in type(error).__mro__)
