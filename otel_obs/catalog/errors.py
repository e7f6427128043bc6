"""Errors, by kind and component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, ParamSpec, TypeVar

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import CounterMetric
from otel_obs.catalog.kit.naming import ANY
from otel_obs.errors import not_a_text
from otel_obs.host.counted import note_counted
from otel_obs.sdk.context_managers import wrap

__all__ = ["errors_total", "record_error", "track_errors"]

P = ParamSpec("P")
R = TypeVar("R")
FromCall = str | Callable[..., str]
"""A label, or a function that makes it from the arguments of the decorated call."""

errors_total = CounterMetric(
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
    """Counts the exception that leaves a call; cancellation and the closing of a generator are not errors."""

    __slots__ = ("_args", "_component", "_error_type", "_kwargs")

    def __init__(
        self,
        error_type: FromCall | None,
        component: FromCall,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._error_type, self._component = error_type, component
        self._args, self._kwargs = args, kwargs

    def __enter__(self) -> None:
        """Nothing is recorded at the start."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None and issubclass(exc_type, Exception):
            self._count(exc_type.__name__)
            if exc is not None:
                note_counted(exc)

    @safely(errors_total)
    def _count(self, name: str) -> None:
        error_type = self._error_type and self._make(self._error_type)
        record_error(error_type or name, self._make(self._component))

    def _make(self, label: FromCall) -> str:
        return label(*self._args, **self._kwargs) if callable(label) else label


def track_errors(
    error_type: FromCall | None, component: FromCall
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, coroutine function, generator or async generator to count what it raises.

    The exception itself is raised on, unchanged.

    Args:
        error_type: The label of the errors, or a function that makes it from the arguments of the call; None
            takes the name of the exception's class.
        component: The part of the application where they happen, or a function that makes it.

    Returns:
        A decorator that keeps the signature.

    Raises:
        DeclarationError: *error_type* or *component* is neither a text nor a function.
    """
    for parameter, value in (("error_type", error_type or None), ("component", component)):
        is_left_out = value is None and parameter == "error_type"
        if not (is_left_out or callable(value) or (value and isinstance(value, str))):
            raise not_a_text(parameter, value)
    if callable(error_type) or callable(component):
        return lambda function: wrap(
            function, lambda args, kwargs: _Errors(error_type, component, args, kwargs)
        )
    errors = _Errors(error_type, component)
    return lambda function: wrap(function, lambda args, kwargs: errors)
