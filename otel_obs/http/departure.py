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


def is_departure(error: BaseException, has_left: bool = False) -> bool:
    """Whether *error*, or all of a group of exceptions, comes of a client that left or of a cancellation.

    Classes are known by their names, since none of the libraries that define them need be installed.

    Args:
        error: What an application raised.
        has_left: Whether the client is known to have gone: then a failing system call comes of that too.
    """
    inside: tuple[BaseException, ...] | None = getattr(error, "exceptions", None)
    if isinstance(inside, tuple) and inside:
        return all(is_departure(each, has_left) for each in inside)
    if has_left and isinstance(error, OSError):
        return True
    return any(kind.__name__ in _DEPARTURES for kind in type(error).__mro__)
