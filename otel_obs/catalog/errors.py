"""What goes wrong, by kind and component."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar

from otel_obs.catalog.boundary import safely
from otel_obs.catalog.instruments import Counter
from otel_obs.catalog.naming import ANY
from otel_obs.sdk.blocks import wrap

__all__ = ["errors_total", "record_error", "track_errors"]

P = ParamSpec("P")
R = TypeVar("R")

errors_total = Counter(
    "errors_total",
    "Total errors",
    unit="{error}",
    attributes={"error_type": ANY, "component": ANY},
)


@safely(errors_total)
def record_error(error_type: str, component: str) -> None:
    """Count an error."""
    errors_total.add(1, {"error_type": error_type, "component": component})


class _Errors:
    """Counts the exception that leaves a block; cancellation and the closing of a generator are none."""

    __slots__ = ("_component", "_error_type")

    def __init__(self, error_type: str | None, component: str) -> None:
        self._error_type, self._component = error_type, component

    def __enter__(self) -> None:
        """Nothing is recorded at the start."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None and issubclass(exc_type, Exception):
            record_error(self._error_type or exc_type.__name__, self._component)


def track_errors(error_type: str | None, component: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, coroutine function, generator or async generator to count what it raises.

    The exception goes on as it was.

    Args:
        error_type: What the errors are called; None takes the name of the exception's class.
        component: The part of the application that they happen in.

    Returns:
        A decorator that keeps the signature.
    """
    errors = _Errors(error_type, component)
    return lambda function: wrap(function, lambda args, kwargs: errors)
